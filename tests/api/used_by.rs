//! `used_by/`: its rows come in authentik's order.

use serde_json::Value;

use crate::support::{EMAIL, TestApp};

#[tokio::test]
async fn the_bindings_of_a_stage_come_by_flow_and_then_by_order() {
    let app = TestApp::new().await;
    let stage = app.admin().create(EMAIL, "a stage").await;
    let mut flows = [app.flow("a").await, app.flow("b").await, app.flow("c").await];
    flows.sort();
    for (flow, order) in [(flows[2], 0), (flows[0], 2), (flows[1], 0), (flows[0], 1)] {
        app.bind(flow, &stage, order).await;
    }
    let rows = app.admin().get(&format!("{EMAIL}{stage}/used_by/")).await.status(200).json();
    let (of_flows, of_bindings) = rows.as_array().unwrap().split_at(4);
    assert!(of_flows.iter().all(|row| row["model_name"] == "flow"), "{rows}");
    let names: Vec<Value> = of_bindings.iter().map(|row| row["name"].clone()).collect();
    let expected = [(flows[0], 1), (flows[0], 2), (flows[1], 0), (flows[2], 0)];
    assert_eq!(names, expected.map(|(flow, order)| format!("Flow-stage binding #{order} to {flow}")));
}
