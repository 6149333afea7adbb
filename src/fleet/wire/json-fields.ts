/**
 * Fields of a JSON object in a text of another host. None of them is believed yet.
 */

/** @returns null for a text that is no JSON object */
export function jsonFieldsOf(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' ? (value as Readonly<Record<string, unknown>> | null) : null
  } catch {
    return null
  }
}
