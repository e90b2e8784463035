//! `dosh --explain`: where the stages of a script's pipelines would run, without running any.

use super::plan::{Group, Known, Place, Plan};
use super::syntax::tree::{Command, Kind, List, Pipeline};
use std::fmt::Write;

/// One line for each pipeline, those of compound commands and functions behind the one that holds them.
pub fn explain(list: &List, known: &Known) -> String {
    let mut text = String::new();
    lists(&[list], known, &mut text);
    text
}

fn lists(lists: &[&List], known: &Known, text: &mut String) {
    for item in lists.iter().flat_map(|list| &list.0) {
        pipeline(&item.and_or.first, known, text);
        for (_, next) in &item.and_or.rest {
            pipeline(next, known, text);
        }
    }
}

fn pipeline(pipeline: &Pipeline, known: &Known, text: &mut String) {
    if let [Command {
        kind: Kind::OnHost(line),
        ..
    }] = &pipeline.stages[..]
    {
        return lists(&[line], &known.on_host(), text);
    }
    let groups = Plan::of(&pipeline.stages, known).groups();
    let group = |group: &Group| match (group.place, group.count) {
        (Place::Guest, _) => "guest".to_owned(),
        (Place::Host, 1) => "host".to_owned(),
        (Place::Host, count) => format!("host, {count} stages"),
    };
    let places: Vec<String> = groups.iter().map(group).collect();
    let source = String::from_utf8_lossy(&pipeline.text);
    let first = source.lines().next().unwrap_or_default();
    let _ = writeln!(text, "{}: {first}", places.join(" | "));
    for stage in &pipeline.stages {
        lists(&inner(stage), known, text);
    }
}

/// Where the simple commands of a list run, as far as it is written there: not those of functions that it calls.
pub fn places(list: &List, known: &Known) -> Vec<Place> {
    let pipelines = list.0.iter().flat_map(|item| {
        let rest = item.and_or.rest.iter().map(|(_, next)| next);
        std::iter::once(&item.and_or.first).chain(rest)
    });
    let mut found = Vec::new();
    for pipeline in pipelines {
        let plan = Plan::of(&pipeline.stages, known);
        for (stage, planned) in pipeline.stages.iter().zip(plan.0) {
            match &stage.kind {
                Kind::Simple(_) => found.push(planned.place),
                Kind::OnHost(line) => found.extend(places(line, &known.on_host())),
                Kind::Function(_) => {}
                _ => found.extend(
                    inner(stage)
                        .into_iter()
                        .flat_map(|list| places(list, known)),
                ),
            }
        }
    }
    found
}

/// The lists within a command.
fn inner(command: &Command) -> Vec<&List> {
    match &command.kind {
        Kind::Simple(_) | Kind::Arithmetic(_) | Kind::Condition(_) => Vec::new(),
        Kind::Group(list) | Kind::Subshell(list) | Kind::OnHost(list) => vec![list],
        Kind::If { arms, otherwise } => {
            let arms = arms.iter().flat_map(|(condition, body)| [condition, body]);
            arms.chain(otherwise).collect()
        }
        Kind::Loop {
            condition, body, ..
        } => vec![condition, body],
        Kind::For { body, .. } | Kind::Count { body, .. } => vec![body],
        Kind::Case { arms, .. } => arms.iter().map(|arm| &arm.body).collect(),
        Kind::Function(function) => inner(&function.body),
    }
}
