"""The direct lane: an API process predicts itself with small ONNX versions, without the queue.

How a request takes it:

1. `PredictionService` asks `DirectLane.open_for` for the version that the request means. A version that is not held, a paused pool, many rows,
   a full line or an event loop that lags lead to the queue, which gives equal answers.
2. `DirectVersion.predict` puts the inputs into a line. The line is served at the end of the current turn of the event loop, so requests
   that arrived in that turn share a call. The call runs on the event loop: it takes less time than handing it to a thread.
3. A call that fails is divided, as a worker does it, so each request gets its own answer or error.

How a version gets there: `DirectVersions` (in `app.services`) lets the lane hold the versions that workers serve and that `app.core.lanes`
allows. Each is loaded in a thread, answers its golden sample, and must do so within `direct_max_ms`.

How the process is protected:

- `Marks` notes in a mapped file which version is being called. The file outlives the process. Another process that finds it reports the
  version, and all API processes keep it on the queue.
- `Watchdog` ends a process in which a call does not return, after `direct_stuck_s`.
- A version whose calls often take much longer than `direct_max_ms` is dropped.

Only `loading` imports ONNX Runtime and NumPy, when the first version is loaded. Nothing else in an API process does.
"""
