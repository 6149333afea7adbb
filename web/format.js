/** Numbers as people read them. */

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

export function size(bytes) {
  let [value, power] = [Math.abs(bytes), 0]
  while (value >= 1024 && power < units.length - 1) {
    value /= 1024
    power++
  }
  const digits = power === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${bytes < 0 ? '-' : ''}${value.toFixed(digits)} ${units[power]}`
}

export const rate = bytes => `${size(bytes)}/s`

export function count(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}k`
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1)
}

/** `1 image`, `2 images`: the word is without its s. */
export const counted = (value, word) => `${count(value)} ${word}${value === 1 ? '' : 's'}`

export const each = value => `${count(value)}/s`

/** Seconds as latency. */
export function time(seconds) {
  if (seconds === null) return '–'
  if (seconds >= 60) return `over ${Math.floor(seconds)} s`
  if (seconds >= 1) return `${short(seconds)} s`
  return seconds >= 0.001 ? `${short(seconds * 1000)} ms` : `${Math.ceil(seconds * 1e6)} µs`
}

const short = value => value.toFixed(value >= 99.95 ? 0 : 1)

/** Seconds as age. */
export function age(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`
}

export function share(part, whole) {
  if (part > 0 && part / whole < 0.0005) return 'under 0.1 %'
  return whole > 0 ? `${((100 * part) / whole).toFixed(part / whole >= 0.9995 || part === 0 ? 0 : 1)} %` : '–'
}

export const clock = atMs => new Date(atMs).toLocaleTimeString([], { hour12: false })
