/**
 * The metrics as text for Prometheus. The library is loaded when somebody asks for the first time, and nothing is counted for it:
 * at each request everything is read off the measurements.
 */
import type { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { type LatencyCounts, latencyBoundsSeconds } from '../latency-histogram.ts'
import type { Measurements } from './measurements.ts'
import { type CounterMetric, type GaugeMetric, metricList, type Sample } from './metric-list.ts'

/** What the text is: version 0.0.4 of the exposition format. */
export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8'

export class Metrics {
  readonly #measure: () => Measurements
  #registry: Promise<Registry> | undefined
  /** Of the request that is answered: one moment for all metrics. */
  #measured: Measurements | null = null

  constructor(measure: () => Measurements) {
    this.#measure = measure
  }

  async text(): Promise<string> {
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
