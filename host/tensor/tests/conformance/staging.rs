//! Values that are made a part at a time.

use swift_tensor::fused::Weight;
use swift_tensor::quantised::{Matrix, nf4};
use swift_tensor::{DType, Staging, current_device, read_back};

#[test]
pub(crate) fn values_that_come_in_parts_have_all_elements_in_their_places() {
    let mut staging = Staging::new(&current_device());
    for count in [0usize, 1, 63, 64, 65, 1000] {
        let number = |place: usize| (place * 7 % 251) as f64;
        let wide = staging.value(&[count], |first, into: &mut [f64]| {
            into.iter_mut().zip(first..).for_each(|(into, place)| *into = number(place));
        });
        let bytes = staging.value(&[count, 1], |first, into: &mut [u8]| {
            into.iter_mut().zip(first..).for_each(|(into, place)| *into = number(place) as u8);
        });
        let (wide, bytes) = (wide.unwrap(), bytes.unwrap());
        assert_eq!((wide.dims(), bytes.dims()), (&[count][..], &[count, 1][..]));
        let expected: Vec<f64> = (0..count).map(number).collect();
        assert_eq!(read_back::<f64>(&wide).unwrap(), expected);
        assert_eq!(read_back::<f64>(&bytes.to_dtype(DType::F64).unwrap()).unwrap(), expected);
    }
}

#[test]
pub(crate) fn a_weight_of_few_bits_is_the_same_wherever_it_is_kept() {
    let x: Vec<f32> = (0..6 * 128).map(|i| (i as f32 * 0.7).sin()).collect();
    for double in [false, true] {
        let matrix = nf4::Matrix::quantise(&x, 6, 128, nf4::Options { block: 64, double }).unwrap();
        let mut expected = vec![0f32; x.len()];
        let matrix = Matrix::Nf4(matrix);
        matrix.dequantise(&mut expected).unwrap();
        let weight = Weight::quantised(matrix, &mut Staging::new(&current_device())).unwrap();
        assert_eq!(weight.dims(), [6, 128]);
        assert!((6 * 128 / 2..6 * 128).contains(&weight.bytes()));
        assert_eq!(read_back::<f32>(weight.to_tensor(DType::F32).unwrap().value()).unwrap(), expected);
    }
}
