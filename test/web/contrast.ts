/** Contrast of the page's colours in both themes, by the sums of WCAG 2.2: texts 4.5 to 1, marks 3 to 1. */
import { readFileSync } from 'node:fs'
import t from 'tap'

const style = readFileSync(new URL('../../../web/style.css', import.meta.url), 'utf8')

/** The colours of a rule, by name. */
function coloursOf(rule: RegExp): ReadonlyMap<string, string> {
  const [block = ''] = rule.exec(style) ?? []
  return new Map([...block.matchAll(/--(\w+): (#[0-9a-f]{3,6});/g)].map(([, name, value]) => [name!, value!]))
}

/** Relative luminance, 0 to 1. Source: WCAG 2.2, "relative luminance". */
function luminanceOf(colour: string): number {
  const digits = colour.length === 4 ? colour.replaceAll(/[0-9a-f]/g, '$&$&') : colour
  const [red, green, blue] = [1, 3, 5].map(at => {
    const share = Number.parseInt(digits.slice(at, at + 2), 16) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

type Pair = readonly [string, string]

const texts = ['ink', 'faint', 'link', 'good', 'warn', 'bad'].flatMap((text): Pair[] => [
  [text, 'ground'],
  [text, 'panel'],
])
const marks: readonly Pair[] = [
  ...['hit', 'miss', 'second', 'third', 'cold', 'hot', 'fetching', 'edge', 'focus'].map(
    (mark): Pair => [mark, 'panel'],
  ),
  // Neighbours in the map of an image and in bars.
  ...['hit', 'second', 'third', 'cold', 'hot', 'fetching', 'edge'].map((mark): Pair => [mark, 'empty']),
  ['cold', 'hot'],
  ['edge', 'ground'],
  ['focus', 'ground'],
]

const themes = {
  light: /^:root \{[^}]*\}/m,
  dark: /^:root\[data-theme="dark"\] \{[^}]*\}/m,
  'dark by the system': /:root:not\(\[data-theme="light"\]\) \{[^}]*\}/,
}

for (const [theme, rule] of Object.entries(themes)) {
  t.test(`texts and marks of the ${theme} theme stand out`, async t => {
    const colours = coloursOf(rule)
    for (const [pairs, least] of [[texts, 4.5] as const, [marks, 3] as const]) {
      for (const [one, other] of pairs) {
        const [light, dark] = [one, other].map(name => luminanceOf(colours.get(name) ?? '')).sort((a, b) => b - a)
        const ratio = (light! + 0.05) / (dark! + 0.05)
        t.ok(ratio >= least, `${one} on ${other}: ${ratio.toFixed(2)} to 1`)
      }
    }
  })
}
