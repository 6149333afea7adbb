/**
 * Metric: its kind, name, help and labels, and the reading of its samples off the measurements.
 */
import type { LatencyCounts } from '../base/latency-histogram.ts'
import type { Measurements } from './measurements.ts'

export interface Sample<T> {
  readonly labels: Readonly<Record<string, string>>
  readonly value: T
}

interface MetricOf<Kind extends string, T> {
  readonly kind: Kind
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly read: (measured: Measurements) => readonly Sample<T>[]
}

export type CounterMetric = MetricOf<'counter', number>
export type GaugeMetric = MetricOf<'gauge', number>
export type HistogramMetric = MetricOf<'histogram', LatencyCounts>
export type Metric = CounterMetric | GaugeMetric | HistogramMetric

/** Reads one number off the measurements. */
export type Read<T> = (measured: Measurements) => T
export function counter(name: string, help: string, value: Read<number>): CounterMetric {
  return { kind: 'counter', name, help, labels: [], read: m => [{ labels: {}, value: value(m) }] }
}

export function gauge(name: string, help: string, value: Read<number>): GaugeMetric {
  return { kind: 'gauge', name, help, labels: [], read: m => [{ labels: {}, value: value(m) }] }
}

/** One series for each state. */
export function states<S extends string>(name: string, help: string, all: readonly S[], now: Read<S>): GaugeMetric {
  const read = (m: Measurements) => all.map(state => ({ labels: { state }, value: Number(state === now(m)) }))
  return { kind: 'gauge', name, help, labels: ['state'], read }
}
