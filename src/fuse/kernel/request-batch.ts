/**
 * Batch of requests: what a session hands over at once.
 *
 * This file alone reads its format, and native-bindings/session/request-queue.h alone writes it. A batch is a row of
 * records at multiples of 8 bytes: length u32 | waited u32 | the request as the kernel sent it. Numbers are
 * little-endian; `waited` are milliseconds.
 */
import { requestHeaderBytes } from './requests.ts'

const prefixBytes = 8

/**
 * Take a batch apart, in order.
 * @param onRequest gets the request as the kernel sent it, a view of the batch, and the time for which a session thread
 *   waited for an origin, in vain
 * @returns the bytes from the first record on that has lost its frame, which nobody gets; 0 where none has
 */
export function readRequests(batch: Uint8Array, onRequest: (bytes: Uint8Array, waitedMs: number) => void): number {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength)
  for (let at = 0; at < batch.length; ) {
    const left = batch.length - at - prefixBytes
    const length = left < requestHeaderBytes ? 0 : view.getUint32(at, true)
    if (length < requestHeaderBytes || length > left) return batch.length - at
    const body = at + prefixBytes
    onRequest(batch.subarray(body, body + length), view.getUint32(at + 4, true))
    at = body + Math.ceil(length / 8) * 8
  }
  return 0
}
