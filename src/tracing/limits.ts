/**
 * Limits of tracing/: each with its unit last and the reason or the sum that led to it.
 */

/** Spans of one trace: a miss of 1 MiB with hedges has some twenty; one that is tried again and again has no end. */
export const traceSpansMax = 128

/** Ended spans that wait for the collector: some 500 bytes each, 2 MiB together. */
export const queuedSpansMax = 4096

/** Spans of one request: 256 KiB of JSON, which encodes within 2 ms. */
export const batchSpansMax = 512

/** The time after which ended spans are sent, if no batch is full before. */
export const exportEveryMs = 2_000

/** Requests for one batch, the first included: then its spans are dropped. */
export const exportTriesMax = 5

/** The pause before a batch is sent again, doubled each time, and the longest. */
export const exportPauseMsMin = 1_000

export const exportPauseMsMax = 30_000

/** Time for the last batch of a worker that ends. */
export const lastExportMsMax = 1_000

/** Longest answer of a collector that is read: it says how many spans were refused, and why. */
export const collectorAnswerBytesMax = 64 * 1024

/** Time-out of one request. Source: OpenTelemetry specification 1.40, protocol/exporter.md: 10 seconds. */
export const exportMsMaxDefault = 10_000
