//! Waiting in WASI. No epoch ends a wait, so each has a deadline: the time that is left to the call.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host as _;
use wasmtime_wasi::p2::bindings::sync::io::poll::{Host as _, HostPollable};
use wasmtime_wasi::p2::bindings::sync::io::streams::{self, Host as _, HostInputStream, HostOutputStream};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult};

use crate::limits::Breach;
use crate::store::State;

/// The most that WASI lets a plugin write in one blocking call.
const WRITTEN_BYTES: usize = 4096;

type Input = Resource<DynInputStream>;
type Output = Resource<DynOutputStream>;
type Waiter = Resource<DynPollable>;
type Context<'a> = StoreContextMut<'a, State>;
/// What the linker takes for a result of a stream.
type Told<T> = wasmtime::Result<(Result<T, streams::StreamError>,)>;

/// Replaces the functions of WASI that wait. The linker must allow shadowing.
///
/// # Errors
/// If one of them can't be replaced, which would be a mistake here.
pub(crate) fn add_to_linker(linker: &mut Linker<State>, version: &str) -> wasmtime::Result<()> {
    let mut poll = linker.instance(&format!("wasi:io/poll@{version}"))?;
    poll.func_wrap("poll", |mut store: Context<'_>, (waiters,): (Vec<Waiter>,)| {
        Ok((wait(store.data_mut(), waiters)?,))
    })?;
    poll.func_wrap("[method]pollable.block", |mut store: Context<'_>, (waiter,): (Waiter,)| {
        wait(store.data_mut(), vec![waiter]).map(drop)
    })?;
    let mut streams = linker.instance(&format!("wasi:io/streams@{version}"))?;
    streams.func_wrap(
        "[method]input-stream.blocking-read",
        |mut store: Context<'_>, (input, length): (Input, u64)| {
            let result = read(store.data_mut(), &input, |table, input| table.read(input, length));
            told(store, result)
        },
    )?;
    streams.func_wrap(
        "[method]input-stream.blocking-skip",
        |mut store: Context<'_>, (input, length): (Input, u64)| {
            let result = read(store.data_mut(), &input, |table, input| table.skip(input, length));
            told(store, result)
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.blocking-write-and-flush",
        |mut store: Context<'_>, (output, bytes): (Output, Vec<u8>)| {
            let result = write(store.data_mut(), &output, &bytes);
            told(store, result)
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.blocking-write-zeroes-and-flush",
        |mut store: Context<'_>, (output, length): (Output, u64)| {
            let zeroes = usize::try_from(length).ok().and_then(|length| [0; WRITTEN_BYTES].get(..length));
            let result = match zeroes {
                Some(zeroes) => write(store.data_mut(), &output, zeroes),
                None => Err(StreamError::trap(TOO_MUCH)),
            };
            told(store, result)
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.blocking-flush",
        |mut store: Context<'_>, (output,): (Output,)| {
            let result = flush(store.data_mut(), &output);
            told(store, result)
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.blocking-splice",
        |mut store: Context<'_>, (output, input, length): (Output, Input, u64)| {
            let ready = writable(store.data_mut(), &output);
            let result = ready.and_then(|()| {
                read(store.data_mut(), &input, |table, input| table.splice(output, input, length))
            });
            told(store, result)
        },
    )
}

const TOO_MUCH: &str = "it wrote more than 4096 bytes in one blocking call";

fn told<T>(mut store: Context<'_>, result: StreamResult<T>) -> Told<T> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(store.data_mut().table.convert_stream_error(error)?),)),
    }
}

/// Waits until one of them is ready, and says which are.
fn wait(state: &mut State, mut waiters: Vec<Waiter>) -> wasmtime::Result<Vec<u32>> {
    if waiters.is_empty() {
        return Err(wasmtime::Error::msg("it waited for nothing"));
    }
    let count = waiters.len();
    let left = u64::try_from(state.time_left().as_nanos()).unwrap_or(u64::MAX);
    let deadline = state.clocks().subscribe_duration(left)?;
    waiters.push(Resource::new_borrow(deadline.rep()));
    let ready = state.table.poll(waiters);
    HostPollable::drop(&mut state.table, deadline)?;
    let mut ready = ready?;
    ready.retain(|place| (*place as usize) < count);
    match ready.is_empty() {
        true => Err(Breach::Time(state.limits.call_time).into()),
        false => Ok(ready),
    }
}

/// Waits for one stream.
fn wait_once(state: &mut State, waiter: Waiter) -> StreamResult<()> {
    let result = wait(state, vec![Resource::new_borrow(waiter.rep())]);
    HostPollable::drop(&mut state.table, waiter).map_err(StreamError::Trap)?;
    result.map(drop).map_err(StreamError::Trap)
}

fn writable(state: &mut State, output: &Output) -> StreamResult<()> {
    let waiter =
        HostOutputStream::subscribe(&mut state.table, borrowed(output)).map_err(StreamError::Trap)?;
    wait_once(state, waiter)
}

fn read<T>(
    state: &mut State,
    input: &Input,
    read: impl FnOnce(&mut ResourceTable, Input) -> StreamResult<T>,
) -> StreamResult<T> {
    let waiter = HostInputStream::subscribe(&mut state.table, borrowed(input)).map_err(StreamError::Trap)?;
    wait_once(state, waiter)?;
    read(&mut state.table, borrowed(input))
}

fn write(state: &mut State, output: &Output, mut bytes: &[u8]) -> StreamResult<()> {
    if bytes.len() > WRITTEN_BYTES {
        return Err(StreamError::trap(TOO_MUCH));
    }
    while !bytes.is_empty() {
        writable(state, output)?;
        let allowed = state.table.check_write(borrowed(output))?;
        let (chunk, rest) = bytes.split_at(usize::try_from(allowed).unwrap_or(usize::MAX).min(bytes.len()));
        HostOutputStream::write(&mut state.table, borrowed(output), chunk.to_vec())?;
        bytes = rest;
    }
    flush(state, output)
}

/// As WASI has it, a stream that is closed has been flushed.
fn flush(state: &mut State, output: &Output) -> StreamResult<()> {
    let flushed = state.table.flush(borrowed(output));
    let flushed = flushed.and_then(|()| {
        writable(state, output)?;
        state.table.check_write(borrowed(output)).map(drop)
    });
    match flushed {
        Err(StreamError::Closed) => Ok(()),
        other => other,
    }
}

fn borrowed<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}
