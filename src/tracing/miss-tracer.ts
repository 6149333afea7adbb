/**
 * Miss tracer: draws the misses that are traced, and makes their spans. A span that has ended goes to the exporter at
 * once, so that a promotion may end long after its read.
 */
import { randomBytes } from 'node:crypto'
import { isCacheError } from '../base/errors.ts'
import type { MissTraces, SpanFacts, SpanName, TraceSpan } from '../base/trace.ts'
import type { EndedSpan } from './ended-span.ts'
import { traceSpansMax } from './limits.ts'

export interface MissTracerContext {
  /** Takes spans that have ended. */
  take(span: EndedSpan): void
  /** A span was left out: its trace has too many. */
  leftOut(): void
  /** Milliseconds, never going back. */
  readonly now: () => number
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
  /** From 0 on, below 1. */
  readonly random: () => number
}

export class MissTracer implements MissTraces {
  readonly #parts: MissTracerContext
  #ratio = 0

  constructor(parts: MissTracerContext) {
    this.#parts = parts
  }

  /** Trace so many of all misses from now on; 0: none. */
  sample(ratio: number): void {
    this.#ratio = ratio
  }

  isSampled(): boolean {
    return this.#ratio > 0 && this.#parts.random() < this.#ratio
  }

  begin(facts: SpanFacts, startMs: number): TraceSpan {
    const { now, wallMs } = this.#parts
    const trace = { id: hexadecimal(16), parts: this.#parts, wallAtZeroMs: wallMs() - now(), spans: 1 }
    return new Span(trace, null, 'miss', facts, startMs)
  }
}

/** Facts that the spans of a trace share. */
interface Trace {
  readonly id: string
  readonly parts: MissTracerContext
  /** Milliseconds since 1970 when the other clock was 0: one for the whole trace, whose steps keep their order. */
  readonly wallAtZeroMs: number
  spans: number
}

class Span implements TraceSpan {
  readonly #trace: Trace
  readonly #id = hexadecimal(8)
  readonly #parentId: string | null
  readonly #name: SpanName
  readonly #startMs: number
  #facts: SpanFacts
  #hasEnded = false

  constructor(trace: Trace, parentId: string | null, name: SpanName, facts: SpanFacts, startMs: number) {
    this.#trace = trace
    this.#parentId = parentId
    this.#name = name
    this.#facts = facts
    this.#startMs = startMs
  }

  begin(name: SpanName, facts: SpanFacts = {}, startMs: number = this.#trace.parts.now()): TraceSpan {
    if (this.#trace.spans >= traceSpansMax) {
      this.#trace.parts.leftOut()
      return leftOutSpan
    }
    this.#trace.spans++
    return new Span(this.#trace, this.#id, name, facts, startMs)
  }

  add(facts: SpanFacts): void {
    this.#facts = { ...this.#facts, ...facts }
  }

  end(error?: unknown): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    const { id, parts, wallAtZeroMs } = this.#trace
    const failed = error === undefined ? null : isCacheError(error) ? error.code : 'other'
    parts.take({
      ...{ traceId: id, spanId: this.#id, parentId: this.#parentId, name: this.#name },
      ...{ startMs: wallAtZeroMs + this.#startMs, endMs: wallAtZeroMs + parts.now() },
      ...{ facts: this.#facts, error: failed },
    })
  }
}

/** Stands for the steps of a trace that has too many. */
const leftOutSpan: TraceSpan = {
  begin: () => leftOutSpan,
  add() {},
  end() {},
}

/** All bytes zero would be no id; chance does not make that. */
function hexadecimal(bytes: number): string {
  return randomBytes(bytes).toString('hex')
}
