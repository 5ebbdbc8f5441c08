//! The thread that reads the meters, and the windows it cuts.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use isocost_harness::energy::Window;

use super::Meter;

/// How often meters are read.
const EVERY: Duration = Duration::from_millis(100);
/// A shorter window holds too few updates of a counter.
const SHORTEST_S: f64 = 1.0;

/// Meters being read.
pub struct Watch {
    meters: Arc<Mutex<Vec<Counted>>>,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A meter and what it counted in the current window.
struct Counted {
    meter: Box<dyn Meter>,
    begun: Instant,
    begun_j: f64,
    now_j: f64,
    doubts: Vec<String>,
    idle_watts: Option<f64>,
}

impl Watch {
    /// Starts to read `meters`.
    pub fn start(meters: Vec<Box<dyn Meter>>) -> Self {
        let counted: Vec<Counted> = meters.into_iter().map(Counted::new).collect();
        let is_needed = !counted.is_empty();
        let meters = Arc::new(Mutex::new(counted));
        let (stop, stopped) = mpsc::channel();
        let read = meters.clone();
        let watch = move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                read_all(&read);
            }
        };
        Self { meters, stop: Some(stop), thread: is_needed.then(|| std::thread::spawn(watch)) }
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        locked(&self.meters).is_empty()
    }

    /// Measures for `seconds` what flows while nothing is done; later windows carry it.
    pub fn measure_idle(&mut self, seconds: f64) {
        if self.is_empty() {
            return;
        }
        self.cut();
        std::thread::sleep(Duration::from_secs_f64(seconds));
        let idle: Vec<Option<f64>> =
            self.cut().iter().map(|w| w.joules.filter(|_| w.energy_valid).map(|j| j / w.seconds)).collect();
        for (meter, watts) in locked(&self.meters).iter_mut().zip(idle) {
            meter.idle_watts = watts;
        }
    }

    /// Ends the current window of every meter and begins the next.
    pub fn cut(&mut self) -> Vec<Window> {
        read_all(&self.meters);
        locked(&self.meters).iter_mut().map(Counted::cut).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.take();
        self.thread.take().map(JoinHandle::join);
    }
}

/// A meter that panicked left its last numbers, which are still numbers.
fn locked(meters: &Mutex<Vec<Counted>>) -> std::sync::MutexGuard<'_, Vec<Counted>> {
    meters.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_all(meters: &Mutex<Vec<Counted>>) {
    locked(meters).iter_mut().for_each(Counted::read);
}

impl Counted {
    fn new(meter: Box<dyn Meter>) -> Self {
        let mut counted =
            Self { meter, begun: Instant::now(), begun_j: 0.0, now_j: 0.0, doubts: vec![], idle_watts: None };
        counted.read();
        counted.begun_j = counted.now_j;
        counted
    }

    fn read(&mut self) {
        match self.meter.read() {
            Ok(reading) => {
                self.now_j = reading.joules;
                reading.doubts.into_iter().for_each(|doubt| self.doubt(doubt));
            }
            Err(error) => self.doubt(format!("could not be read: {error}")),
        }
    }

    fn doubt(&mut self, doubt: String) {
        if !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }

    fn cut(&mut self) -> Window {
        let seconds = self.begun.elapsed().as_secs_f64();
        let joules = self.now_j - self.begun_j;
        if seconds < SHORTEST_S {
            self.doubt(format!("the window is shorter than {SHORTEST_S} s"));
        }
        if joules <= 0.0 {
            self.doubt("the counter did not move".into());
        }
        let doubts = std::mem::take(&mut self.doubts);
        (self.begun, self.begun_j) = (Instant::now(), self.now_j);
        Window {
            meter: self.meter.name(),
            seconds,
            // A counter that did not move measured nothing, and nothing is not 0 J.
            joules: (joules > 0.0).then_some(joules),
            idle_watts: self.idle_watts,
            energy_valid: doubts.is_empty(),
            reasons: doubts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Reading;

    /// Draws a constant power, then fails.
    struct Steady {
        begun: Instant,
        watts: f64,
        reads: usize,
        fails_after: usize,
    }

    impl Meter for Steady {
        fn name(&self) -> String {
            "steady".into()
        }

        fn read(&mut self) -> Result<Reading, String> {
            self.reads += 1;
            if self.reads > self.fails_after {
                return Err("gone".into());
            }
            let joules = self.watts * self.begun.elapsed().as_secs_f64();
            let doubts = if self.reads == 3 { vec!["throttled".into()] } else { vec![] };
            Ok(Reading { joules, doubts })
        }
    }

    fn watch(watts: f64, fails_after: usize) -> Watch {
        let begun = Instant::now();
        Watch::start(vec![Box::new(Steady { begun, watts, reads: 0, fails_after })])
    }

    #[test]
    fn a_window_holds_the_joules_of_its_seconds_and_what_casts_doubt_on_them() {
        let mut watch = watch(50.0, usize::MAX);
        std::thread::sleep(Duration::from_millis(1300));
        let window = watch.cut().remove(0);
        assert!((window.joules.unwrap() / window.seconds / 50.0 - 1.0).abs() < 0.1, "{window:?}");
        assert!(!window.energy_valid && window.reasons == ["throttled"], "{window:?}");
        watch.measure_idle(1.1);
        std::thread::sleep(Duration::from_millis(1100));
        let window = watch.cut().remove(0);
        assert!(window.energy_valid, "{window:?}");
        assert!((window.idle_watts.unwrap() - 50.0).abs() < 5.0, "{window:?}");
    }

    #[test]
    fn short_windows_still_counters_and_lost_meters_are_not_valid() {
        let reasons = |watts, fails_after| watch(watts, fails_after).cut().remove(0).reasons;
        assert_eq!(reasons(50.0, 9), ["the window is shorter than 1 s"]);
        assert!(reasons(0.0, 9).contains(&"the counter did not move".to_owned()));
        assert!(reasons(50.0, 1).contains(&"could not be read: gone".to_owned()));
        assert_eq!(watch(0.0, 9).cut()[0].joules, None, "absent, not 0");
    }
}
