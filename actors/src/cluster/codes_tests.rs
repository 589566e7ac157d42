//! Errors and reasons go over the wire as numbers and come back as what they were.

use super::inbound::{ask_error, exit_reason};
use super::owed::reply_code;
use super::peer::down_code;
use crate::error::AskError;
use crate::id::ExitReason;
use posse_wire::{DownBody, DownCode, ReplyCode};

#[test]
fn every_reason_of_an_end_comes_back_as_itself() {
    let reasons = [
        ExitReason::Normal,
        ExitReason::Shutdown,
        ExitReason::Killed,
        ExitReason::failed("broken".to_owned()),
        ExitReason::NodeDown,
        ExitReason::NoSuchActor,
    ];
    for reason in reasons {
        let (code, text) = down_code(&reason);
        let body = DownBody { code: DownCode::from_u16(code.to_u16()), text: text.to_owned() };
        assert_eq!(exit_reason(body), reason);
    }
}

#[test]
fn every_error_of_an_ask_comes_back_as_itself() {
    let errors = [
        AskError::Full,
        AskError::Stopped,
        AskError::NoSuchActor,
        AskError::Failed,
        AskError::Timeout,
        AskError::Deadlock,
        AskError::Incompatible,
        AskError::NoReply,
        AskError::Encode("e".into()),
        AskError::Decode("d".into()),
    ];
    for error in errors {
        let (code, text) = reply_code(&error);
        assert_eq!(ask_error(ReplyCode::from_u16(code.to_u16()), text.to_owned()), error);
    }
    let (code, text) = reply_code(&AskError::TooLarge);
    assert_eq!(ask_error(code, text.to_owned()), AskError::Encode("it is too large".into()));
    assert_eq!(ask_error(reply_code(&AskError::NodeDown).0, String::new()), AskError::NoReply);
}
