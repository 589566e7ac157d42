//! Generates a gRPC client and server, from a description in Rust: that needs no compiler of protocol buffers.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let codec = "tonic_prost::ProstCodec";
    let greet = Method::builder().name("greet").route_name("Greet");
    let greet = greet.input_type("crate::grpc::Name").output_type("crate::grpc::Greeting").codec_path(codec).build();
    let repeat = Method::builder().name("repeat").route_name("Repeat").server_streaming();
    let repeat = repeat.input_type("crate::grpc::Name").output_type("crate::grpc::Greeting").codec_path(codec).build();
    let service = Service::builder().name("Greeter").package("posse.test").method(greet).method(repeat).build();
    Builder::new().build_transport(false).compile(&[service]);
}
