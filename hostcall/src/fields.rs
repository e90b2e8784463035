//! How values of several parts travel: tokens, times, record locks, states of jobs.

use crate::types::{Errno, JobState, RecordLock, Times, Token};
use crate::wire::{Field, ProtocolError, Reader, Writer};
use std::fmt;

impl<'a> Field<'a> for Token {
    const TYPE: &'static str = "token";
    const SIZE: usize = 16;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        self.0.iter().try_for_each(|word| word.put(writer))
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        Ok(Token([u64::take(reader)?, u64::take(reader)?]))
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl<'a> Field<'a> for Times {
    const TYPE: &'static str = "times";
    const SIZE: usize = 24;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        self.atime.put(writer)?;
        self.mtime.put(writer)?;
        self.atime_nsec.put(writer)?;
        self.mtime_nsec.put(writer)
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let (atime, mtime) = (i64::take(reader)?, i64::take(reader)?);
        Ok(Times {
            atime,
            mtime,
            atime_nsec: u32::take(reader)?,
            mtime_nsec: u32::take(reader)?,
        })
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{}.{:09}, {}.{:09}]",
            self.atime, self.atime_nsec, self.mtime, self.mtime_nsec
        )
    }
}

impl<'a> Field<'a> for RecordLock {
    const TYPE: &'static str = "record lock";
    const SIZE: usize = 24;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        let kinds = u32::from(self.kind as u16) << 16 | u32::from(self.whence as u16);
        kinds.put(writer)?;
        self.start.put(writer)?;
        self.len.put(writer)?;
        self.pid.put(writer)
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let kinds = u32::take(reader)?;
        let (start, len, pid) = (i64::take(reader)?, i64::take(reader)?, i32::take(reader)?);
        Ok(RecordLock {
            kind: (kinds >> 16) as i16,
            whence: kinds as i16,
            start,
            len,
            pid,
        })
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{type={}, whence={}, start={}, len={}}}",
            self.kind, self.whence, self.start, self.len
        )
    }
}

impl<'a> Field<'a> for JobState {
    const TYPE: &'static str = "job state";
    const SIZE: usize = 4;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        let word =
            |kind: u32, code: u8, core: bool| kind | u32::from(code) << 8 | u32::from(core) << 16;
        let state: u32 = match *self {
            JobState::None => 0,
            JobState::Exited(code) => word(1, code, false),
            JobState::Signalled { signal, core } => word(2, signal, core),
            JobState::Stopped(signal) => word(3, signal, false),
            JobState::Continued => 4,
        };
        state.put(writer)
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let word = u32::take(reader)?;
        let code = (word >> 8) as u8;
        match word as u8 {
            0 => Ok(JobState::None),
            1 => Ok(JobState::Exited(code)),
            2 => Ok(JobState::Signalled {
                signal: code,
                core: word >> 16 & 1 != 0,
            }),
            3 => Ok(JobState::Stopped(code)),
            4 => Ok(JobState::Continued),
            _ => Err(ProtocolError::Header("job state")),
        }
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobState::None => f.write_str("none"),
            JobState::Exited(code) => write!(f, "exited {code}"),
            JobState::Signalled { signal, core } => {
                let core = if *core { " with a core file" } else { "" };
                write!(f, "died of signal {signal}{core}")
            }
            JobState::Stopped(signal) => write!(f, "stopped by signal {signal}"),
            JobState::Continued => f.write_str("continued"),
        }
    }
}
