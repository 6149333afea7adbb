/**
 * Storm: many guests ask at once. It is one while many requests of the kernel wait, or while promotions are dropped
 * because more comes than the disk takes.
 */
import { count, counted, time } from './format.js'

const requestsMin = 128

/** @returns `{ isStorm, sentence, facts }` */
export function stormOf({ gauges, origin }, samples) {
  const last = samples.at(-1)
  const most = samples.reduce((max, { requests }) => Math.max(max, requests), gauges.requests)
  const dropped = last?.droppedPromotions ?? 0
  const isStorm = gauges.requests >= requestsMin || dropped > 0 || origin.waiting > 0
  const facts = [
    ['requests of the kernel that wait', count(gauges.requests)],
    ['most of them since the page looks back', count(most)],
    ['extents being fetched or promoted', count(gauges.inflightFetches)],
    ['extents not promoted, a second', count(dropped)],
    ['readers that wait for an origin to come back', count(origin.waiting)],
    ['lateness of the main thread, p99', time(last?.lagP99 ?? null)],
  ]
  const sentence =
    origin.waiting > 0
      ? `${counted(origin.waiting, 'reader')} waiting for an origin that is ${origin.state}.`
      : isStorm
        ? `${counted(gauges.requests, 'request')} waiting. Hits go on; misses share the link to the origin.`
        : 'No storm: requests are answered as they come.'
  return { isStorm, sentence, facts }
}
