//~ a message has no `self`: list its fields alone
//~ a message is an `async fn`: its reply takes time
//~ a protocol says what, not how: write the body in `impl Handler<..>`
//~ a field of a message is a plain name
//~ every reference has a method of this name already
//~ the message of this function would be a second `Add`
//~ the message of this function is a type `Status` of its own: give the function another name, such as `get_status`
//~ a protocol holds nothing but `async fn`: each is a message
//~ a protocol has no parameters: its messages have one layout
//~ a protocol has at least one message
//~ `protocol` knows `name = ".."` and `crate = path`
mod a {
    #[posse::protocol]
    pub trait P {
        async fn add(&self, n: u64);
    }
}
mod b {
    #[posse::protocol]
    pub trait P {
        fn add(n: u64);
    }
}
mod c {
    #[posse::protocol]
    pub trait P {
        async fn add(n: u64) {}
    }
}
mod d {
    #[posse::protocol]
    pub trait P {
        async fn add((n, m): (u64, u64));
    }
}
mod e {
    #[posse::protocol]
    pub trait P {
        async fn ask(n: u64);
    }
}
mod f {
    #[posse::protocol]
    pub trait P {
        async fn add(n: u64);
        async fn Add(n: u64);
    }
}
mod g {
    #[posse::protocol]
    pub trait P {
        const N: u64;
    }
}
mod h {
    #[posse::protocol]
    pub trait P<T> {
        async fn add(n: T);
    }
}
mod i {
    #[posse::protocol]
    pub trait P {}
}
mod j {
    #[posse::protocol(nome = "p")]
    pub trait P {
        async fn add(n: u64);
    }
}
mod k {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    pub struct Status(u64);

    #[posse::protocol]
    pub trait P {
        async fn status() -> Option<Status>;
    }
}

fn main() {}
