//! Labels beside the ends of lines, moved apart so that none covers another.

/// New heights for labels that want to be at `wanted`, at least `gap` apart and within `low..=high` if they fit.
/// The order of the wanted heights is kept.
pub(super) fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]).then(a.cmp(&b)));
    let mut placed = vec![0.0; wanted.len()];
    let mut next = low;
    for &at in &order {
        placed[at] = wanted[at].max(next);
        next = placed[at] + gap;
    }
    let mut next = high;
    for &at in order.iter().rev() {
        placed[at] = placed[at].min(next);
        next = placed[at] - gap;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stay_apart_inside_and_in_order() {
        let placed = spread(&[99.0, 10.0, 12.0, 98.0], 10.0, 0.0, 100.0);
        assert_eq!(placed, [100.0, 10.0, 20.0, 90.0]);
    }

    #[test]
    fn labels_with_room_stay_where_they_want_to_be() {
        assert_eq!(spread(&[50.0, 20.0], 10.0, 0.0, 100.0), [50.0, 20.0]);
    }
}
