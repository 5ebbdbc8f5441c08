//! What can go wrong with a request.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::response;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// `429 Too Many Requests`, and the request's key in the body.
    TooMany,
    /// `500`, and the request's key in the body.
    Broken,
    /// Headers and a piece, then silence.
    Stalls,
    /// A line that is no event.
    Garbage,
    /// An event that is no JSON, with the request's key in it.
    GarbageEvent,
    /// The connection is closed in the middle.
    ClosesHalfWay,
    /// The connection is closed at once.
    ClosesAtOnce,
    /// Every piece comes twice.
    RepeatsPieces,
    /// An error in the stream, with the request's key in it.
    ErrorEvent,
    /// `401`, and the request's key in the body.
    Refuses,
}

/// All that may pass.
pub(crate) const PASSING: [Trouble; 9] = [
    Trouble::TooMany,
    Trouble::Broken,
    Trouble::Stalls,
    Trouble::Garbage,
    Trouble::GarbageEvent,
    Trouble::ClosesHalfWay,
    Trouble::ClosesAtOnce,
    Trouble::RepeatsPieces,
    Trouble::ErrorEvent,
];

impl Trouble {
    /// Writes what is left of the events; whether the connection is still of use.
    pub(super) fn write(self, stream: &mut TcpStream, events: &[Value], authorization: &str) -> bool {
        let said = json!({ "error": { "message": format!("you sent {authorization}") } }).to_string();
        let status = match self {
            Self::TooMany => "429 Too Many Requests",
            Self::Broken => "500 Internal Server Error",
            Self::Refuses => "401 Unauthorized",
            Self::ClosesAtOnce => return false,
            _ => return self.spoil(stream, events, authorization, &said),
        };
        stream.write_all(&response(status, &said)).is_ok()
    }

    fn spoil(self, stream: &mut TcpStream, events: &[Value], authorization: &str, said: &str) -> bool {
        let mut lines: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        lines.push("data: [DONE]\n\n".into());
        match self {
            Self::Garbage => lines.insert(1, "<html>a proxy speaks</html>\n".into()),
            Self::GarbageEvent => lines.insert(1, format!("data: {{ {authorization}\n\n")),
            Self::ErrorEvent => lines.insert(1, format!("data: {said}\n\n")),
            Self::RepeatsPieces => {
                lines = lines.iter().flat_map(|line| [line.clone(), line.clone()]).collect()
            }
            _ => lines.truncate(1),
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all((head.to_owned() + &lines.concat()).as_bytes());
        if self == Self::Stalls {
            std::thread::sleep(Duration::from_secs(6));
        }
        let _ = stream.shutdown(Shutdown::Both);
        false
    }
}
