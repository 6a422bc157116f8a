//! Recorded work: a graph of CUDA's, or, where the CPU stands for a device, a list of what is to be done.

#[cfg(feature = "emulation")]
pub(crate) use emulated::EmulatedGraph;
#[cfg(feature = "cuda")]
pub(crate) use on_device::DeviceGraph;

#[cfg(feature = "emulation")]
mod emulated {
    use candle_core::{Storage, Tensor as Value};

    use crate::Result;

    /// What is to be done, with all memory that it is done in and that the graph has.
    #[derive(Default)]
    pub(crate) struct EmulatedGraph {
        work: Vec<Box<dyn Fn() -> Result<()> + Send>>,
        values: Vec<Value>,
        storages: Vec<Storage>,
    }

    impl EmulatedGraph {
        pub(crate) fn push(&mut self, work: impl Fn() -> Result<()> + Send + 'static) {
            self.work.push(Box::new(work));
        }

        /// Keeps the memory of a value.
        pub(crate) fn keep(&mut self, value: &Value) {
            self.values.push(value.clone());
        }

        /// Keeps memory that never became a value.
        pub(crate) fn keep_storage(&mut self, storage: Storage) {
            self.storages.push(storage);
        }

        pub(crate) fn launch(&self) -> Result<()> {
            self.work.iter().try_for_each(|work| work())
        }
    }
}

#[cfg(feature = "cuda")]
mod on_device {
    use std::mem::MaybeUninit;
    use std::sync::Arc;

    use candle_core::CudaDevice;
    use candle_core::cuda::cudarc::driver::sys::{
        CUDA_MEMCPY3D, CUgraphInstantiate_flags, CUgraphNode, CUgraphNodeType, CUmemorytype,
        CUstreamCaptureMode, cuGraphGetNodes, cuGraphMemcpyNodeGetParams, cuGraphNodeGetType,
    };
    use candle_core::cuda::cudarc::driver::{CudaGraph, CudaStream, DriverError};

    use crate::{Error, Result};

    const OP: &str = "graph";

    /// A graph of CUDA's that has been made ready to be launched.
    pub(crate) struct DeviceGraph(CudaGraph);

    // SAFETY: a graph may be used from any thread, by one at a time: it is launched through its owner, which is not shared.
    #[expect(unsafe_code, reason = "the driver's handles are pointers")]
    unsafe impl Send for DeviceGraph {}

    fn refused(error: DriverError) -> Error {
        Error::Device { op: OP, message: error.to_string() }
    }

    /// Ends the capture of a stream, however it is left.
    struct Capture(Option<Arc<CudaStream>>);

    impl Capture {
        fn begin(stream: Arc<CudaStream>) -> Result<Self> {
            // What other threads do on other streams does not matter.
            stream
                .begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
                .map_err(refused)?;
            Ok(Self(Some(stream)))
        }

        fn end(&mut self) -> Result<Option<CudaGraph>> {
            // All memory that a graph has is given back within it, so that there is nothing to be done about it at the next launch.
            let end =
                |stream: Arc<CudaStream>| stream.end_capture(CUgraphInstantiate_flags(0)).map_err(refused);
            self.0.take().map_or(Ok(None), end)
        }
    }

    impl Drop for Capture {
        fn drop(&mut self) {
            // What came of it is not wanted any more.
            _ = self.end();
        }
    }

    impl DeviceGraph {
        /// Records what `f` queues. cuBLAS takes its work space as memory of the graph.
        pub(crate) fn record<E: From<Error>>(
            device: &CudaDevice,
            f: impl FnOnce() -> std::result::Result<(), E>,
        ) -> std::result::Result<Self, E> {
            let stream = device.cuda_stream();
            let recorded = Self::capture(stream.clone(), f);
            if recorded.is_err() {
                // What was refused meanwhile would be reported by the next call, which has nothing to do with it.
                _ = stream.context().check_err();
            }
            recorded
        }

        fn capture<E: From<Error>>(
            stream: Arc<CudaStream>,
            f: impl FnOnce() -> std::result::Result<(), E>,
        ) -> std::result::Result<Self, E> {
            let mut capture = Capture::begin(stream)?;
            f()?;
            let graph = capture.end()?.ok_or_else(|| Error::invalid(OP, "nothing was recorded"))?;
            complete(&graph)?;
            graph.upload().map_err(refused)?;
            Ok(Self(graph))
        }

        pub(crate) fn launch(&self) -> Result<()> {
            self.0.launch().map_err(refused)
        }
    }

    /// Refuses a graph that reads or writes memory of the host, has the host do something, or whose memory outlives it. Of the former
    /// the driver would record the address alone.
    fn complete(graph: &CudaGraph) -> Result<()> {
        let (mut allocated, mut freed) = (0, 0);
        for node in nodes(graph)? {
            match kind(node)? {
                kind if kind == CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEM_ALLOC as u32 => allocated += 1,
                kind if kind == CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEM_FREE as u32 => freed += 1,
                kind if kind == CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEMCPY as u32 => {
                    if !is_within_device(node)? {
                        return Err(Error::invalid(OP, "numbers are sent between device and host"));
                    }
                }
                kind if kind == CUgraphNodeType::CU_GRAPH_NODE_TYPE_KERNEL as u32
                    || kind == CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEMSET as u32
                    || kind == CUgraphNodeType::CU_GRAPH_NODE_TYPE_EMPTY as u32 => {}
                other => return Err(Error::invalid(OP, format!("it has a node of the kind {other}"))),
            }
        }
        match allocated == freed {
            true => Ok(()),
            false => {
                Err(Error::invalid(OP, format!("of {allocated} pieces of memory {freed} are given back")))
            }
        }
    }

    #[expect(unsafe_code, reason = "cudarc has no safe form of it")]
    fn nodes(graph: &CudaGraph) -> Result<Vec<CUgraphNode>> {
        let mut count = 0;
        // SAFETY: the graph is whole; without a place for nodes their number is given.
        unsafe { cuGraphGetNodes(graph.cu_graph(), std::ptr::null_mut(), &mut count) }
            .result()
            .map_err(refused)?;
        let mut nodes = vec![std::ptr::null_mut(); count];
        // SAFETY: there is room for as many.
        unsafe { cuGraphGetNodes(graph.cu_graph(), nodes.as_mut_ptr(), &mut count) }
            .result()
            .map_err(refused)?;
        nodes.truncate(count);
        Ok(nodes)
    }

    /// What a node does: a number, since a newer driver may know kinds that cudarc does not.
    #[expect(unsafe_code, reason = "cudarc has no safe form of it")]
    fn kind(node: CUgraphNode) -> Result<u32> {
        let mut kind = u32::MAX;
        // SAFETY: the node is one of a graph that exists, and the kind is a number of 32 bits.
        unsafe { cuGraphNodeGetType(node, std::ptr::from_mut(&mut kind).cast()) }
            .result()
            .map_err(refused)?;
        Ok(kind)
    }

    /// Whether a copy is from the device's memory to the device's memory.
    #[expect(unsafe_code, reason = "cudarc has no safe form of it")]
    fn is_within_device(node: CUgraphNode) -> Result<bool> {
        let mut copy = MaybeUninit::<CUDA_MEMCPY3D>::zeroed();
        // SAFETY: the node is a copy of a graph that exists.
        unsafe { cuGraphMemcpyNodeGetParams(node, copy.as_mut_ptr()) }.result().map_err(refused)?;
        // SAFETY: both are numbers of 32 bits, whatever the driver wrote there.
        let kinds = unsafe {
            let copy = copy.as_ptr();
            [&raw const (*copy).srcMemoryType, &raw const (*copy).dstMemoryType]
                .map(|kind| kind.cast::<u32>().read())
        };
        Ok(kinds == [CUmemorytype::CU_MEMORYTYPE_DEVICE as u32; 2])
    }
}
