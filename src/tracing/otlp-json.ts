/**
 * OTLP JSON: spans as the body of an ExportTraceServiceRequest, and the answer to it. Pure.
 *
 * Source: OpenTelemetry, opentelemetry-proto 1.9, opentelemetry/proto/collector/trace/v1/trace_service.proto,
 * trace/v1/trace.proto, and OTLP specification 1.9, "JSON Protobuf Encoding": keys in lowerCamelCase, ids in
 * hexadecimal digits, enums as numbers, 64-bit integers as decimal strings.
 */
import type { SpanFacts, SpanName } from '../base/trace.ts'
import type { EndedSpan } from './ended-span.ts'

/** SpanKind: INTERNAL is 1, SERVER 2, CLIENT 3. */
const kinds: Readonly<Record<SpanName, 1 | 2 | 3>> = {
  miss: 2,
  plan: 1,
  wait: 1,
  queue: 1,
  members: 3,
  'origin request': 3,
  hedge: 1,
  'native fetch': 3,
  promotion: 1,
}

/** Status.code: ERROR is 2; of others nothing is said. */
const statusError = 2

/**
 * The body of a request.
 * @param resource attributes of this mount
 */
export function requestOf(spans: readonly EndedSpan[], resource: SpanFacts, version: string): string {
  const scopeSpans = [{ scope: { name: 'parentfs', version }, spans: spans.map(encoded) }]
  return JSON.stringify({ resourceSpans: [{ resource: { attributes: attributesOf(resource) }, scopeSpans }] })
}

/** The refusal of some spans of a request that was taken. */
export interface PartialSuccess {
  readonly rejectedSpans: number
  readonly errorMessage: string
}

/** An answer that cannot be read refuses nothing. */
export function partialSuccessIn(answer: string): PartialSuccess {
  try {
    const { partialSuccess } = JSON.parse(answer) as { partialSuccess?: Partial<Record<string, unknown>> }
    const rejected = Number(partialSuccess?.rejectedSpans ?? 0)
    const message = partialSuccess?.errorMessage
    return {
      rejectedSpans: Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0,
      errorMessage: typeof message === 'string' ? message : '',
    }
  } catch {
    return { rejectedSpans: 0, errorMessage: '' }
  }
}

function encoded({ traceId, spanId, parentId, name, startMs, endMs, facts, error }: EndedSpan) {
  return {
    traceId,
    spanId,
    ...(parentId === null ? {} : { parentSpanId: parentId }),
    name,
    kind: kinds[name],
    startTimeUnixNano: nanosecondsOf(startMs),
    endTimeUnixNano: nanosecondsOf(Math.max(startMs, endMs)),
    attributes: attributesOf(error === null ? facts : { ...facts, 'error.type': error }),
    status: error === null ? {} : { code: statusError, message: error },
  }
}

function attributesOf(facts: SpanFacts) {
  return Object.entries(facts).map(([key, value]) => ({ key, value: anyValueOf(value) }))
}

function anyValueOf(value: string | number | boolean) {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value }
}

/** Whole microseconds: a double has no more digits of a time since 1970. */
function nanosecondsOf(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n)
}
