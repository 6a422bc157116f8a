//! Work that is recorded once and done again with other numbers.

use swift_tensor::fused::embedding;
use swift_tensor::{
    DType, Error, Graph, HostNumbers, Result, Tensor, Value, copy_into, current_device, from_list, read_back,
    rehearse,
};

fn table() -> Tensor {
    let elements: Vec<f64> = (0..15).map(|i| f64::from(i) - 6.0).collect();
    from_list(&elements, &[5, 3], DType::F32).unwrap()
}

/// Operations that look at elements in all orders, of rows of a table: `x * x / 2 + x`.
fn compute(table: &Tensor, rows: &HostNumbers<u32>, out: &Value) -> Result<()> {
    let x = embedding(table, rows)?;
    let squares = x.transpose(0, 1)?.mul(&x.transpose(0, 1)?)?.transpose(0, 1)?;
    let y = squares.cast(DType::F64)?.scale(0.5)?.cast(DType::F32)?.add(&x)?;
    let halves = [y.narrow(1, 1, 2)?, y.narrow(1, 0, 1)?];
    let [right, left] = halves.each_ref();
    copy_into(swift_tensor::cat(&[left, right], 1)?.value(), out)
}

fn expected(rows: [u32; 2]) -> Vec<f32> {
    let row = |row: u32| (0..3).map(move |i| (row * 3 + i) as f32 - 6.0);
    rows.into_iter().flat_map(row).map(|x| x * x / 2.0 + x).collect()
}

#[test]
pub(crate) fn recorded_work_is_done_again_with_other_numbers() {
    let device = current_device();
    if !Graph::is_for(&device) {
        assert!(Graph::record::<Error>(&device, || Ok(())).is_err());
        return;
    }
    let (table, out) = (table(), Value::zeros((2, 3), DType::F32, &device).unwrap());
    let got = || read_back::<f32>(&out).unwrap();
    let rows = |numbers: &[u32]| HostNumbers::new(numbers.to_vec()).below(5).unwrap();
    let first = rows(&[4, 0]);
    first.send(&device).unwrap();
    let (done, obstacle) = rehearse(|| compute(&table, &first, &out));
    done.unwrap();
    assert_eq!((got(), obstacle), (expected([4, 0]), None));

    let second = rows(&[1, 3]);
    second.replace(&first).unwrap();
    let graph = Graph::record(&device, || compute(&table, &second, &out)).unwrap();
    assert_eq!(got(), expected([4, 0]), "what is recorded does not run");
    graph.launch().unwrap();
    assert_eq!(got(), expected([1, 3]));
    let third = rows(&[2, 2]);
    third.replace(&second).unwrap();
    graph.launch().unwrap();
    assert_eq!(got(), expected([2, 2]));
    let more = rows(&[0; 3]).replace(&third).unwrap_err();
    assert!(more.to_string().contains("there is no room for 3 of them"), "{more}");
}

#[test]
pub(crate) fn what_the_host_has_a_part_in_is_not_recorded() {
    let (device, table) = (current_device(), table());
    if !Graph::is_for(&device) {
        return;
    }
    let met = |f: &dyn Fn() -> Result<()>| rehearse(|| f().unwrap()).1;
    let read = || table.to_list().map(drop);
    assert_eq!(met(&read).as_deref(), Some("elements are read back"));
    let sent = || table.add(&from_list(&[1.0], &[1], DType::F32)?).map(drop);
    assert_eq!(met(&sent).as_deref(), Some("a list of numbers is sent to the device"));
    let other = || table.max(0, false).map(drop);
    assert_eq!(met(&other).as_deref(), Some("`max` has no kernel that is recorded"));
    let free = || embedding(&table, &HostNumbers::new(vec![0])).map(drop);
    assert_eq!(met(&free).as_deref(), Some("rows of a table are taken by numbers that others may replace"));
    assert!(HostNumbers::new(vec![5]).below(5).is_err());
    for work in [&read as &dyn Fn() -> Result<()>, &sent, &other] {
        assert!(Graph::record(&device, work).is_err());
    }
    assert_eq!(
        met(&|| table.add(&table)?.reshape(&[-1])?.tanh().map(drop)),
        None,
        "the next one is not concerned"
    );
}
