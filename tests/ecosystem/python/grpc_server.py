"""The greeter, on a port of 127.0.0.1."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc


def pack(text):
    raw = text.encode()
    return b"\x0a" + bytes([len(raw)]) + raw


def unpack(raw):
    return raw[2 : 2 + raw[1]].decode() if raw else ""


def greet(name, context):
    if not name:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "who are you?")
    return f"hello {name}"


def repeat(name, _):
    return (f"{n} times hello {name}" for n in range(100))


codec = {"request_deserializer": unpack, "response_serializer": pack}
methods = {
    "Greet": grpc.unary_unary_rpc_method_handler(greet, **codec),
    "Repeat": grpc.unary_stream_rpc_method_handler(repeat, **codec),
}
server = grpc.server(ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("posse.test.Greeter", methods),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
print("ready", flush=True)
server.wait_for_termination()
