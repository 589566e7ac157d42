//~ mismatched types
//~ expected `u8`, found `String`
async fn errors_of_two_types() -> Result<(), u8> {
    posse::try_join!(async { Err::<(), u8>(1) }, async { Err::<(), String>(String::new()) })?;
    Ok(())
}

fn main() {}
