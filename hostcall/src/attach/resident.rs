//! The resident of a guest with its own kernel: rings its sleeping threads and gives back the lanes of its dead
//! processes. Any process of the guest with the rights to its device and line can be it; there is one at a time.

use super::bells::Resident;
use super::device::{Link, MMAPPER};
use crate::region::Region;
use crate::types::Errno;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often lanes are looked at, at most. The host counts the looks.
pub const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// How long a process waits before it asks again whether the guest wants a resident.
const REST: Duration = Duration::from_secs(1);

/// Is the guest's resident, or waits until it wants one. Returns where there is no device, and when the host is gone.
pub fn reside() {
    let Ok((link, region)) = Link::open(MMAPPER) else {
        return;
    };
    loop {
        match Resident::new(&region) {
            Ok(resident) => {
                let _ = serve(&resident, &link, &region);
                return;
            }
            // Another one is, or the guest's /run is not there yet.
            Err(_) => std::thread::sleep(REST),
        }
    }
}

fn serve(resident: &Resident, link: &Link, region: &Region) -> Result<(), Errno> {
    let mut looked = Instant::now();
    loop {
        resident.attend(region, LOOK_PERIOD)?;
        if looked.elapsed() >= LOOK_PERIOD {
            link.reap(region);
            region.header().looks.fetch_add(1, Ordering::Relaxed);
            looked = Instant::now();
        }
    }
}
