/** docs/OPERATIONS.md says the limits that the code has. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parseDuration, parseSize } from '../../src/base/sizes.ts'

const modules = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(name => /(^|\/)limits\.ts$/.test(name))
const limits: Record<string, unknown> = {}
for (const module of modules) {
  Object.assign(limits, await import(new URL(`../../src/${module.replace(/\.ts$/, '.js')}`, import.meta.url).href))
}

t.test('each limit in docs/OPERATIONS.md has the value that it has in the code', async t => {
  const lines = readFileSync('docs/OPERATIONS.md', 'utf8').split('\n')
  const start = lines.indexOf('| limit | value | why | what is over it |')
  const rows = lines.slice(start + 2, lines.indexOf('', start)).map(line => line.split('|').map(cell => cell.trim()))
  t.ok(rows.length > 30, `${rows.length} limits`)
  for (const [, name = '', value = ''] of rows) {
    const key = name.replaceAll('`', '')
    t.equal(limits[key], numberOf(key, value), key)
  }
})

/** In the unit that the name of the limit ends in. */
function numberOf(name: string, text: string): number {
  if (text.endsWith('%')) return Number.parseFloat(text) / 100
  if (/Ms(Max|Min)?$/.test(name)) return parseDuration(text)
  if (/Bytes(Max|Min)?$/.test(name)) return parseSize(text)
  return Number(text)
}
