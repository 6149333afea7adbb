/**
 * Removes secrets from texts that leave the host: credentials and queries of URLs, headers, and settings that hold or
 * bring a secret. Pure.
 */

/** The word in the place of a secret. */
export const withheld = '[withheld]'

/** Names of settings and fields whose values are secrets, or bring them. */
const secretName =
  /(secret|password|passphrase|token|authorization|signature|credential|psk|accesskey|cookie|basic|query)/i

/** The name of each setting below `headers`, whatever the header is called. */
const header = 'header'

/** A text of any kind: the log, for one. */
export function redactText(text: string): string {
  return text
    .replace(/([a-z][a-z+.-]*:\/\/)[^\s/"'@]*@/gi, `$1${withheld}@`)
    .replace(/([a-z][a-z+.-]*:\/\/[^\s"'?]*)\?[^\s"')\]}]*/gi, `$1?${withheld}`)
    .replace(/\b(Bearer|Basic|AWS4-HMAC-SHA256)\s+[^\s"',]+/gi, `$1 ${withheld}`)
    .replace(
      /("?[\w-]*(?:secret|password|token|authorization|signature|psk)[\w-]*"?\s*[:=]\s*)("[^"]*"|[^\s,;&}]+)/gi,
      `$1"${withheld}"`,
    )
}

/** A document of settings: below a secret's name nothing is kept. Commands may have secrets among their words. */
export function redactSettings(value: unknown, name = ''): unknown {
  // Any header may be a key of its server; its name says nothing of it.
  if (name === header && typeof value !== 'object') return withheld
  if (value === null || value === undefined || typeof value === 'boolean' || typeof value === 'number') return value
  if (secretName.test(name) && typeof value !== 'object') return withheld
  if (name === 'command') return withheld
  if (Array.isArray(value)) return value.map(each => (secretName.test(name) ? withheld : redactSettings(each)))
  if (typeof value === 'object') {
    const entries = Object.entries(value)
    const nameOf = (key: string) => (name === 'headers' ? header : key)
    return Object.fromEntries(entries.map(([key, below]) => [key, redactSettings(below, nameOf(key))]))
  }
  return redactText(`${value}`)
}
