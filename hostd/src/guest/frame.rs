//! The framed protocol between hostd and the agent that runs COMMAND in the guest.
//!
//! One byte line carries everything: `[type][0][length u16 LE][payload]`. Data flows under a credit
//! window for each stream, so that neither side ever holds more than a window of it and a slow reader
//! of one stream delays no other frame. The guest is hostile: every frame is bounded before it is
//! believed, and an unknown one ends the guest.

use std::fmt;

/// Version that the guest says in [`Frame::Hello`].
pub const VERSION: u32 = 1;
/// Largest payload of one frame, bytes.
pub const MAX_PAYLOAD: usize = 8192;
/// Bytes of standard input that hostd may send ahead of the agent's credit.
pub const STDIN_WINDOW: u32 = 32 * 1024;
/// Bytes of standard output (and of standard error) that the agent may send ahead of hostd's credit.
pub const OUTPUT_WINDOW: u32 = 128 * 1024;
/// Bytes, of frames of every kind, that hostd may have on the line and the agent not yet have read.
///
/// Linux's terminal layer holds 4096 and throttles its driver 128 short of that; UML's serial driver
/// (6.1, `line_throttle`) then takes its descriptor out of its epoll set and never puts it back, which
/// would stop the line for good. So a full buffer must not happen.
pub const LINE_WINDOW: u32 = 3072;

const HEADER: usize = 4;

/// A standard stream of COMMAND, by its descriptor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stream {
    /// Standard input.
    Stdin = 0,
    /// Standard output, or the terminal.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
}

impl Stream {
    fn from_byte(byte: u8) -> Result<Stream, FrameError> {
        match byte {
            0 => Ok(Stream::Stdin),
            1 => Ok(Stream::Stdout),
            2 => Ok(Stream::Stderr),
            other => Err(FrameError::BadStream(other)),
        }
    }
}

/// Size of a terminal: rows, columns, and pixels (ioctl_tty(2), `TIOCGWINSZ`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WinSize {
    /// Rows of characters.
    pub rows: u16,
    /// Columns of characters.
    pub cols: u16,
    /// Width in pixels, 0 when unknown.
    pub xpixel: u16,
    /// Height in pixels, 0 when unknown.
    pub ypixel: u16,
}

/// How COMMAND ended, exactly as wait(2) told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code.
    Code(i32),
    /// It was ended by this signal.
    Signal(i32),
}

/// One message of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Guest: the agent is ready, COMMAND is about to start; hostd sends nothing before it.
    Hello(u32),
    /// Bytes of a stream; stdin towards the guest, the others towards hostd.
    Data(Stream, Vec<u8>),
    /// Bytes of the stream that the receiver consumed and may be sent anew.
    Credit(Stream, u32),
    /// Host, stdin: end of file. Host, an output: its reader is gone. Guest, stdin: COMMAND reads no more.
    Close(Stream),
    /// Host: the size of the user's terminal changed.
    WinSize(WinSize),
    /// Host: deliver this signal to COMMAND's process group.
    Signal(u8),
    /// Guest: COMMAND ended, and every byte it wrote has been sent.
    Exit(Status),
    /// Guest: COMMAND could not be started; one line for the user.
    Fail(String),
    /// Guest: this many more bytes of the line were read; see [`LINE_WINDOW`].
    Received(u32),
    /// Guest, once: what the guest has to do without; one line for the user.
    Notice(String),
}

/// Why a peer's bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The type byte names no frame.
    UnknownType(u8),
    /// The length exceeds [`MAX_PAYLOAD`].
    TooLong(usize),
    /// The payload is not as long as its type wants.
    BadLength(u8, usize),
    /// The stream byte is not 0, 1 or 2.
    BadStream(u8),
    /// A frame that this direction never carries.
    Unexpected(&'static str),
    /// More data than the window allows.
    Overrun,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::UnknownType(byte) => write!(f, "frame of unknown type {byte}"),
            FrameError::TooLong(len) => write!(f, "frame of {len} bytes, more than {MAX_PAYLOAD}"),
            FrameError::BadLength(kind, len) => {
                write!(f, "frame of type {kind} with a payload of {len} bytes")
            }
            FrameError::BadStream(byte) => write!(f, "frame for unknown stream {byte}"),
            FrameError::Unexpected(name) => write!(f, "frame {name} is out of place"),
            FrameError::Overrun => write!(f, "more data than its window allows"),
        }
    }
}

const HELLO: u8 = 1;
const DATA: u8 = 2;
const CREDIT: u8 = 3;
const CLOSE: u8 = 4;
const WINSIZE: u8 = 5;
const SIGNAL: u8 = 6;
const EXIT: u8 = 7;
const FAIL: u8 = 8;
const RECEIVED: u8 = 9;
const NOTICE: u8 = 10;

impl Frame {
    /// Appends the frame to `out`. Data longer than one frame holds must be split by the caller.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        let kind = match self {
            Frame::Hello(version) => {
                out.extend_from_slice(&version.to_le_bytes());
                HELLO
            }
            Frame::Data(stream, bytes) => {
                out.push(*stream as u8);
                out.extend_from_slice(bytes);
                DATA
            }
            Frame::Credit(stream, count) => {
                out.push(*stream as u8);
                out.extend_from_slice(&count.to_le_bytes());
                CREDIT
            }
            Frame::Close(stream) => {
                out.push(*stream as u8);
                CLOSE
            }
            Frame::WinSize(size) => {
                for field in [size.rows, size.cols, size.xpixel, size.ypixel] {
                    out.extend_from_slice(&field.to_le_bytes());
                }
                WINSIZE
            }
            Frame::Signal(number) => {
                out.push(*number);
                SIGNAL
            }
            Frame::Exit(status) => {
                let (how, value) = match status {
                    Status::Code(code) => (0u8, code),
                    Status::Signal(number) => (1, number),
                };
                out.push(how);
                out.extend_from_slice(&value.to_le_bytes());
                EXIT
            }
            Frame::Fail(text) | Frame::Notice(text) => {
                let bytes = text.as_bytes();
                out.extend_from_slice(&bytes[..bytes.len().min(1024)]);
                match self {
                    Frame::Fail(_) => FAIL,
                    _ => NOTICE,
                }
            }
            Frame::Received(count) => {
                out.extend_from_slice(&count.to_le_bytes());
                RECEIVED
            }
        };
        let len = out.len() - start - HEADER;
        debug_assert!(len <= MAX_PAYLOAD);
        out[start] = kind;
        out[start + 2..start + 4].copy_from_slice(&(len as u16).to_le_bytes());
    }

    /// Takes the first frame of `input`: the frame and the bytes it took, or `None` if it is not whole yet.
    ///
    /// # Errors
    /// Any byte sequence that no honest peer sends.
    pub fn decode(input: &[u8]) -> Result<Option<(Frame, usize)>, FrameError> {
        let Some(header) = input.get(..HEADER) else {
            return Ok(None);
        };
        let kind = header[0];
        let len = usize::from(u16::from_le_bytes([header[2], header[3]]));
        // Judged before the payload is waited for, so that a hostile length cannot make us buffer or hang.
        if !(HELLO..=NOTICE).contains(&kind) || header[1] != 0 {
            return Err(FrameError::UnknownType(kind));
        }
        if len > MAX_PAYLOAD {
            return Err(FrameError::TooLong(len));
        }
        let Some(payload) = input.get(HEADER..HEADER + len) else {
            return Ok(None);
        };
        let wrong = || FrameError::BadLength(kind, len);
        let frame = match kind {
            HELLO => Frame::Hello(u32::from_le_bytes(payload.try_into().map_err(|_| wrong())?)),
            RECEIVED => {
                Frame::Received(u32::from_le_bytes(payload.try_into().map_err(|_| wrong())?))
            }
            DATA => {
                let (stream, bytes) = payload.split_first().ok_or_else(wrong)?;
                Frame::Data(Stream::from_byte(*stream)?, bytes.to_vec())
            }
            CREDIT => {
                let bytes: [u8; 5] = payload.try_into().map_err(|_| wrong())?;
                let count = u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
                Frame::Credit(Stream::from_byte(bytes[0])?, count)
            }
            CLOSE => {
                let [stream] = payload.try_into().map_err(|_| wrong())?;
                Frame::Close(Stream::from_byte(stream)?)
            }
            WINSIZE => {
                let bytes: [u8; 8] = payload.try_into().map_err(|_| wrong())?;
                let field = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
                Frame::WinSize(WinSize {
                    rows: field(0),
                    cols: field(2),
                    xpixel: field(4),
                    ypixel: field(6),
                })
            }
            SIGNAL => {
                let [number] = payload.try_into().map_err(|_| wrong())?;
                Frame::Signal(number)
            }
            EXIT => {
                let bytes: [u8; 5] = payload.try_into().map_err(|_| wrong())?;
                let value = i32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
                match bytes[0] {
                    0 => Frame::Exit(Status::Code(value & 0xff)),
                    1 if (1..=64).contains(&value) => Frame::Exit(Status::Signal(value)),
                    _ => return Err(wrong()),
                }
            }
            NOTICE => Frame::Notice(String::from_utf8_lossy(payload).into_owned()),
            _ => Frame::Fail(String::from_utf8_lossy(payload).into_owned()),
        };
        Ok(Some((frame, HEADER + len)))
    }

    /// The frame's name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Frame::Hello(_) => "hello",
            Frame::Data(..) => "data",
            Frame::Credit(..) => "credit",
            Frame::Close(_) => "close",
            Frame::WinSize(_) => "winsize",
            Frame::Signal(_) => "signal",
            Frame::Exit(_) => "exit",
            Frame::Fail(_) => "fail",
            Frame::Received(_) => "received",
            Frame::Notice(_) => "notice",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_frame() -> Vec<Frame> {
        vec![
            Frame::Hello(VERSION),
            Frame::Data(Stream::Stdin, vec![]),
            Frame::Data(Stream::Stdout, vec![7; MAX_PAYLOAD - 1]),
            Frame::Credit(Stream::Stderr, u32::MAX),
            Frame::Close(Stream::Stdin),
            Frame::WinSize(WinSize {
                rows: 24,
                cols: 80,
                xpixel: 0,
                ypixel: 9,
            }),
            Frame::Signal(15),
            Frame::Exit(Status::Code(255)),
            Frame::Exit(Status::Signal(9)),
            Frame::Fail("no such thing".into()),
            Frame::Received(77),
            Frame::Notice("not mounted".into()),
        ]
    }

    #[test]
    fn frames_survive_the_line_cut_at_any_byte() {
        for frame in every_frame() {
            let mut line = Vec::new();
            frame.encode(&mut line);
            for cut in 0..line.len() {
                assert_eq!(
                    Frame::decode(&line[..cut]),
                    Ok(None),
                    "{} cut at {cut}",
                    frame.name()
                );
            }
            assert_eq!(Frame::decode(&line), Ok(Some((frame, line.len()))));
        }
    }

    #[test]
    fn hostile_bytes_are_refused_and_never_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut refused = 0;
        for _ in 0..200_000 {
            let mut line = [0u8; 24];
            for byte in &mut line {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
            line[0] %= 11;
            line[1] %= 2;
            line[3] %= 40;
            refused += usize::from(Frame::decode(&line).is_err());
        }
        assert!(refused > 50_000);
        assert_eq!(
            Frame::decode(&[DATA, 0, 0xff, 0xff]),
            Err(FrameError::TooLong(0xffff))
        );
        assert_eq!(
            Frame::decode(&[EXIT, 0, 5, 0, 1, 0, 0, 0, 0]),
            Err(FrameError::BadLength(EXIT, 5))
        );
    }
}
