//! Files of surfaces: whatever is read gives seconds, joules and a bound that are numbers, and is written as it was read.

#![no_main]

use isocost_harness::step::Load;
use isocost_harness::surface::Surface;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("surface.json");
    std::fs::write(&path, bytes).expect("room for a file");
    if let Ok(surfaces) = Surface::read_all(&path) {
        surfaces.iter().for_each(check);
        std::fs::write(&path, Surface::write_all(&surfaces)).expect("room for a file");
        assert_eq!(Surface::read_all(&path).expect("what was written"), surfaces);
    }
});

fn check(surface: &Surface) {
    let mut load = Load::default();
    load.add_row(4_000, 1);
    let measured = surface.points.iter().map(|point| point.step.load);
    for load in measured.chain([load, Load::default()]) {
        let seconds = surface.cost.seconds(&load);
        assert!(seconds >= 0.0 && seconds.is_finite(), "{load:?}: {seconds}");
        assert!(surface.energy.is_none_or(|energy| energy.joules(&load, seconds).is_finite()));
        assert!(surface.bound(&load).is_none_or(|bound| bound.seconds.is_finite()));
        surface.covers(&load);
    }
}
