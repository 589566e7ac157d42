"""Calls the greeter at an address: one call, one that is refused, a stream, many calls at once."""

import sys

import grpc


def pack(text):
    raw = text.encode()
    return b"\x0a" + bytes([len(raw)]) + raw


def unpack(raw):
    return raw[2 : 2 + raw[1]].decode()


with grpc.insecure_channel(sys.argv[1]) as channel:
    codec = {"request_serializer": pack, "response_deserializer": unpack}
    greet = channel.unary_unary("/posse.test.Greeter/Greet", **codec)
    repeat = channel.unary_stream("/posse.test.Greeter/Repeat", **codec)
    print(greet("Python", timeout=20))
    try:
        greet("", timeout=20)
    except grpc.RpcError as error:
        print(error.code().name, error.details())
    texts = list(repeat("you", timeout=20))
    print(len(texts), texts[-1])
    calls = [greet.future(str(n), timeout=20) for n in range(100)]
    print(sum(call.result() == f"hello {n}" for n, call in enumerate(calls)))
