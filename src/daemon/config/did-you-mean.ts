/**
 * Suggests the known word that is nearest to a mistyped one. Pure.
 */

/** The nearest of `words`, or null when none is near: a third of its letters may differ, at least one. */
export function nearest(typed: string, words: readonly string[]): string | null {
  let best: { readonly word: string; readonly edits: number } | null = null
  for (const word of words) {
    const edits = editsBetween(typed.toLowerCase(), word.toLowerCase())
    if (edits <= Math.max(1, Math.floor(word.length / 3)) && (best === null || edits < best.edits))
      best = { word, edits }
  }
  return best?.word ?? null
}

/**
 * Letters to insert, remove, replace, or swap with their neighbour.
 * Source: "optimal string alignment", https://en.wikipedia.org/wiki/Damerau%E2%80%93Levenshtein_distance
 */
function editsBetween(a: string, b: string): number {
  let [beforeLast, last]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, k) => k)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? beforeLast[j - 2]! + 1 : Number.POSITIVE_INFINITY
      row.push(Math.min(replaced, row[j - 1]! + 1, last[j]! + 1, swapped))
    }
    ;[beforeLast, last] = [last, row]
  }
  return last[b.length]!
}
