use super::*;
use crate::{Dtype, Settings, Tensor};

#[test]
fn every_token_gets_the_weighted_sum_of_what_its_experts_give() {
    let list = |values: &[f64], shape: &[u64], dtype| Tensor::from_list(values, shape, dtype);
    let routing = Routing {
        weights: list(&[0.5, 2.0, 1.0, 3.0], &[2, 2], Dtype::Float64),
        experts: list(&[2.0, 0.0, 1.0, 2.0], &[2, 2], Dtype::Int64),
    };
    let x = list(&[1.0, 10.0], &[2, 1], Dtype::Float64);
    // Expert `e` multiplies by `e + 1`.
    let given = routing.apply(&x, |x, rows| {
        assert_eq!(rows.groups().to_list().unwrap(), [0.0, 1.0, 2.0, 2.0]);
        x * (rows.groups().cast(Dtype::Float64) + 1.0).reshape(&[-1, 1])
    });
    assert_eq!(given.unwrap().to_list().unwrap(), [0.5 * 3.0 + 2.0, 20.0 + 90.0]);
}

#[test]
fn the_largest_come_first() {
    let x = Tensor::from_list(&[0.1, 0.7, 0.2, 0.4], &[1, 4], Dtype::Float64);
    let (values, indices) = top_k(&x, 2);
    assert_eq!((values.to_list().unwrap(), indices.to_list().unwrap()), (vec![0.7, 0.4], vec![1.0, 3.0]));
}

#[test]
fn numbers_of_experts_that_make_no_sense_are_named() {
    let error = |text: &str| {
        let error = ExpertSizes::read(&Settings::parse(text).unwrap(), &["num_experts", "num_local_experts"]);
        error.unwrap_err().message().to_owned()
    };
    assert_eq!(error(r#"{"num_local_experts": 0}"#), "`num_local_experts` is 0");
    assert_eq!(error(r#"{"num_experts": 4}"#), "`num_experts_per_tok` is missing");
    assert_eq!(error("{}"), "`num_experts` is missing");
    assert_eq!(
        error(r#"{"num_experts": 4, "num_experts_per_tok": 6}"#),
        "`num_experts_per_tok` is 6, more than `num_experts`, 4"
    );
}

#[test]
fn experts_are_balanced_where_the_configuration_wants_it() {
    let read = |text: &str| {
        let config = Settings::parse(text).unwrap();
        Balance::read(&config, ExpertSizes { count: 4, chosen: 2 })
    };
    assert!(read(r#"{"output_router_logits": true, "router_aux_loss_coef": 0.01}"#).unwrap().is_some());
    for text in [r#"{"router_aux_loss_coef": 0.01}"#, r#"{"output_router_logits": true}"#, "{}"] {
        assert_eq!(read(text).unwrap(), None, "{text}");
    }
    let negative = read(r#"{"router_aux_loss_coef": -1}"#).unwrap_err();
    assert_eq!(negative.message(), "`router_aux_loss_coef` is -1, below 0");
}
