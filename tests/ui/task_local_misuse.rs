//~ a task-local value is declared as `static NAME: Type;`, and gets its value by `NAME.scope(value, future)`
posse::task_local! {
    static NUMBER: u32 = 1;
}

posse::task_local! {
    const OTHER: u32;
}

fn main() {}
