//! Errors and reasons as numbers of the wire, and back: each pair of functions side by side.

use crate::error::AskError;
use crate::id::ExitReason;
use posse_wire::{CloseReason, DownBody, DownCode, ReplyCode};

/// What is said at the end of a connection that this side ends.
pub(crate) type CloseFrame = (CloseReason, String);

pub(super) fn reply_code(error: &AskError) -> (ReplyCode, &str) {
    match error {
        AskError::Full => (ReplyCode::Full, ""),
        AskError::Stopped => (ReplyCode::Stopped, ""),
        AskError::NoSuchActor => (ReplyCode::NoSuchActor, ""),
        AskError::Failed => (ReplyCode::Crashed, ""),
        AskError::Timeout => (ReplyCode::Expired, ""),
        AskError::Deadlock => (ReplyCode::Deadlock, ""),
        AskError::Incompatible => (ReplyCode::Incompatible, ""),
        AskError::Encode(text) => (ReplyCode::Encode, text),
        AskError::Decode(text) => (ReplyCode::Decode, text),
        AskError::TooLarge => (ReplyCode::Encode, "it is too large"),
        AskError::NoReply | AskError::NodeDown => (ReplyCode::NoReply, ""),
    }
}

pub(super) fn ask_error(code: ReplyCode, text: String) -> AskError {
    match code {
        ReplyCode::Full => AskError::Full,
        ReplyCode::Stopped => AskError::Stopped,
        ReplyCode::NoSuchActor => AskError::NoSuchActor,
        ReplyCode::Crashed => AskError::Failed,
        ReplyCode::Expired => AskError::Timeout,
        ReplyCode::Incompatible => AskError::Incompatible,
        ReplyCode::Decode => AskError::Decode(text.into()),
        ReplyCode::Encode => AskError::Encode(text.into()),
        ReplyCode::Deadlock => AskError::Deadlock,
        _ => AskError::NoReply,
    }
}

pub(super) fn down_code(reason: &ExitReason) -> (DownCode, &str) {
    match reason {
        ExitReason::Normal => (DownCode::Normal, ""),
        ExitReason::Shutdown => (DownCode::Shutdown, ""),
        ExitReason::Killed => (DownCode::Killed, ""),
        ExitReason::Failed(text) | ExitReason::GaveUp(text) => (DownCode::Failed, text),
        ExitReason::NodeDown => (DownCode::NodeDown, ""),
        ExitReason::NoSuchActor => (DownCode::NoSuchActor, ""),
        ExitReason::TooManyMonitors => (DownCode::TooManyMonitors, ""),
    }
}

pub(super) fn exit_reason(down: DownBody) -> ExitReason {
    match down.code {
        DownCode::Normal => ExitReason::Normal,
        DownCode::Shutdown => ExitReason::Shutdown,
        DownCode::Killed => ExitReason::Killed,
        DownCode::NodeDown => ExitReason::NodeDown,
        DownCode::NoSuchActor => ExitReason::NoSuchActor,
        DownCode::TooManyMonitors => ExitReason::TooManyMonitors,
        _ => ExitReason::failed(down.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_an_end_comes_back_as_itself() {
        let reasons = [
            ExitReason::Normal,
            ExitReason::Shutdown,
            ExitReason::Killed,
            ExitReason::failed("broken".to_owned()),
            ExitReason::NodeDown,
            ExitReason::NoSuchActor,
            ExitReason::TooManyMonitors,
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
}
