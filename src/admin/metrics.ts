/**
 * Metrics as text for Prometheus. The library is loaded at the first request, and no counter is kept for it: a text is
 * made from the measurements, at most once a second for all clients.
 */
import type { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { type LatencyCounts, latencyBoundsSeconds } from '../base/latency-histogram.ts'
import { metricsFreshMs } from './limits.ts'
import type { Measurements } from './measurements.ts'
import type { CounterMetric, GaugeMetric, Sample } from './metric.ts'
import { metricList } from './metric-list.ts'

/** Content type of the text: version 0.0.4 of the exposition format. */
export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8'

export class Metrics {
  readonly #measure: () => Measurements
  readonly #now: () => number
  /** The latest text, and when it was begun. */
  #text: Promise<string> | undefined
  #madeMs = 0
  #registry: Promise<Registry> | undefined
  /** Of the text that is made: one moment for all metrics. */
  #measured: Measurements | null = null

  /** @param now milliseconds, never going back */
  constructor(measure: () => Measurements, now: () => number = () => performance.now()) {
    this.#measure = measure
    this.#now = now
  }

  /**
   * The metrics, up to a second old: every user of the machine may ask, and making a text takes milliseconds of the
   * main thread.
   */
  text(): Promise<string> {
    const nowMs = this.#now()
    if (this.#text && nowMs - this.#madeMs < metricsFreshMs) return this.#text
    this.#madeMs = nowMs
    const text = this.#make()
    this.#text = text
    text.catch(() => {
      if (this.#text === text) this.#text = undefined // The next client need not see this failure.
    })
    return text
  }

  async #make(): Promise<string> {
    const registry = await (this.#registry ??= this.#create())
    this.#measured = this.#measure()
    return registry.metrics()
  }

  async #create(): Promise<Registry> {
    const prometheus = await import('prom-client')
    const registry = new prometheus.Registry()
    const now = () => this.#measured!
    for (const metric of metricList) {
      const { name, help, labels } = metric
      const options = { name, help, labelNames: labels, registers: [registry] }
      if (metric.kind === 'counter') {
        new prometheus.Counter({ ...options, collect: collectCounter(metric, now) })
      } else if (metric.kind === 'gauge') {
        new prometheus.Gauge({ ...options, collect: collectGauge(metric, now) })
      } else {
        // The library's own histogram counts observations one by one; ours are counted already.
        const get = async () => ({ name, help, type: 'histogram', values: metric.read(now()).flatMap(bucketsOf(name)) })
        registry.registerMetric({ name, get } as unknown as Histogram)
      }
    }
    return registry
  }
}

function collectCounter(metric: CounterMetric, now: () => Measurements) {
  return function collect(this: Counter): void {
    this.reset()
    for (const { labels, value } of metric.read(now())) this.inc(labels, value)
  }
}

function collectGauge(metric: GaugeMetric, now: () => Measurements) {
  return function collect(this: Gauge): void {
    this.reset()
    for (const { labels, value } of metric.read(now())) this.set(labels, value)
  }
}

/** Cumulative, as the format has them. Source: Prometheus, exposition formats, histograms. */
function bucketsOf(name: string) {
  return ({ labels, value }: Sample<LatencyCounts>) => {
    let cumulative = 0
    const buckets = value.counts.map((count, k) => {
      cumulative += count
      const le = latencyBoundsSeconds[k] ?? '+Inf'
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: cumulative }
    })
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: value.sumSeconds },
      { metricName: `${name}_count`, labels, value: cumulative },
    ]
  }
}
