//! A plan laid out on a grid: a column for each layer of the dependency graph, ordered so that edges cross seldom.

use maestria_api::run::{Edge, Graph, Node};
use maestria_kernel::{Run, TaskId, plan::graph};
use std::collections::HashMap;

/// How often the layers are put in order by their neighbours.
const SWEEPS: usize = 4;

/// Lays a run's tasks out; empty when there is no plan, or none that can be ordered.
pub(super) fn lay_out(run: &Run) -> Graph {
    let tasks = run.ordered();
    let plans: Vec<_> = tasks.iter().map(|task| (*task.plan).clone()).collect();
    let Ok(checked) = graph::check(&plans) else {
        return Graph::default();
    };
    let needs: Vec<Vec<usize>> = checked.needs.iter().map(|n| n.iter().copied().collect()).collect();
    let layers = in_order(checked.groups, &needs);
    let tallest = layers.iter().map(Vec::len).max().unwrap_or_default();
    let id = |place: usize| plans.get(place).map(|plan| plan.id);
    let nodes = layers.iter().enumerate().flat_map(|(x, layer)| {
        let above = (tallest - layer.len()) as f32 / 2.0;
        layer.iter().enumerate().filter_map(move |(y, place)| {
            Some(Node {
                task: id(*place)?,
                x: u32::try_from(x).unwrap_or(u32::MAX),
                y: above + y as f32,
            })
        })
    });
    let edge = |from: usize, to: usize| -> Option<Edge> {
        let (from, to): (TaskId, TaskId) = (id(from)?, id(to)?);
        Some(Edge { from, to })
    };
    Graph {
        width: u32::try_from(layers.len()).unwrap_or(u32::MAX),
        height: u32::try_from(tallest).unwrap_or(u32::MAX),
        nodes: nodes.collect(),
        edges: needs
            .iter()
            .enumerate()
            .flat_map(|(to, needed)| needed.iter().filter_map(move |from| edge(*from, to)))
            .collect(),
    }
}

/// Puts each layer in the order of the middle of its neighbours, forwards and back again (Sugiyama's barycentres).
fn in_order(mut layers: Vec<Vec<usize>>, needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (to, needed) in needs.iter().enumerate() {
        needed.iter().for_each(|from| needed_by[*from].push(to));
    }
    for sweep in 0..SWEEPS {
        let neighbours = if sweep % 2 == 0 { needs } else { &needed_by };
        let places: HashMap<usize, usize> = layers
            .iter()
            .flat_map(|layer| layer.iter().enumerate().map(|(y, place)| (*place, y)))
            .collect();
        for layer in &mut layers {
            let middle = |place: usize| {
                let near = &neighbours[place];
                if near.is_empty() {
                    return places[&place] as f32;
                }
                near.iter().map(|n| places[n] as f32).sum::<f32>() / near.len() as f32
            };
            layer.sort_by(|a, b| middle(*a).total_cmp(&middle(*b)));
        }
    }
    layers
}
