/**
 * YAML that may hold secrets: the parser's own messages quote it, so that complaints here name a line alone.
 */
import { LineCounter, parseDocument } from 'yaml'

/** @throws Error with the line that is wrong */
export function parsedYaml(text: string): unknown {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false, stringKeys: true })
  const [flaw] = document.errors
  if (flaw !== undefined) throw new Error(`its line ${lineCounter.linePos(flaw.pos[0]).line} is not YAML`)
  try {
    return document.toJS()
  } catch {
    throw new Error('its aliases stand for too much')
  }
}

/** The value below some keys; undefined where there is none. */
export function valueAt(value: unknown, keys: readonly string[]): unknown {
  return keys.reduce<unknown>(
    (inner, key) => (isMap(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined),
    value,
  )
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
