/** A span that is over, as the exporter gets it. */
import type { SpanFacts, SpanName } from '../base/trace.ts'

export interface EndedSpan {
  /** 16 bytes in hexadecimal digits. */
  readonly traceId: string
  /** 8 bytes in hexadecimal digits. */
  readonly spanId: string
  /** Null: of the miss itself. */
  readonly parentId: string | null
  readonly name: SpanName
  /** Milliseconds since 1970. */
  readonly startMs: number
  readonly endMs: number
  readonly facts: SpanFacts
  /** The code of an error, or null. */
  readonly error: string | null
}
