/**
 * Spans of a traced miss, as the rooms use them: each step of a sampled read tells when it began and how it ended.
 * Rooms get a span with the options of a call, or none, and then nothing is allocated.
 */

/** Steps of a miss; docs/LOGS-AND-TRACES.md has the meaning of each. */
export type SpanName =
  | 'miss'
  | 'plan'
  | 'wait'
  | 'queue'
  | 'members'
  | 'origin request'
  | 'hedge'
  | 'native fetch'
  | 'promotion'

/** Attributes of a span, by name. */
export type SpanFacts = Readonly<Record<string, string | number | boolean>>

export interface TraceSpan {
  /**
   * A step of this one, which may end later than it.
   * @param startMs when it began, on the clock of performance.now(); now when absent
   */
  begin(name: SpanName, facts?: SpanFacts, startMs?: number): TraceSpan
  /** More attributes; those of the same name are replaced. */
  add(facts: SpanFacts): void
  /** The step is over. @param error what it failed with, if it did. Idempotent. */
  end(error?: unknown): void
}

/** Begins the traces of misses. */
export interface MissTraces {
  /** Is the next miss to be traced? False where tracing is off, at the cost of one comparison. */
  isSampled(): boolean
  /** @param startMs when the read came, on the clock of performance.now() */
  begin(facts: SpanFacts, startMs: number): TraceSpan
}

/** Tracing that is off. */
export const noTraces: MissTraces = {
  isSampled: () => false,
  begin() {
    throw new Error('a miss that is not sampled is not traced')
  },
}

/** End a span with a promise. @returns the promise */
export function endingWith<T>(span: TraceSpan | undefined, work: Promise<T>): Promise<T> {
  if (!span) return work
  work.then(
    () => span.end(),
    error => span.end(error),
  )
  return work
}
