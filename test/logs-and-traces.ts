/** docs/LOGS-AND-TRACES.md has what the code logs and traces, and nothing else. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { logMessages } from './fixtures/log-messages.ts'

const page = readFileSync('docs/LOGS-AND-TRACES.md', 'utf8').split('\n')
const messages = logMessages()

/** The rows below a head. */
function rowsBelow(head: string): string[] {
  const start = page.indexOf(head)
  if (start < 0) throw new Error(`there is no table ${head}`)
  return page.slice(start + 2, page.indexOf('', start))
}

/** Words in backquotes in the first cell of each row. */
function namesBelow(head: string): string[] {
  return rowsBelow(head).flatMap(row => [...row.split(' | ')[0]!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!))
}

t.test('every message of the log is in the page, with its level, its fields and the room that writes it', async t => {
  t.ok(messages.length > 120, `${messages.length} messages`)
  const rows = messages.map(({ level, message, fields, room }) => {
    const names = fields.map(name => `\`${name}\``).join(', ')
    return `| ${room} | ${level} | ${message} | ${names} |`
  })
  t.same(rowsBelow('| room | level | message | fields |'), rows)
})

t.test('every field of a message has its meaning in the page', async t => {
  const always = ['level', 'time', 'pid', 'name', 'msg']
  const fields = [...new Set([...always, ...messages.flatMap(({ fields }) => fields)])].sort()
  t.same(namesBelow('| field | meaning |').sort(), fields)
})

t.test('spans and their attributes are those that the code has', async t => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))
  const texts = sources.map(name => readFileSync(`src/${name}`, 'utf8')).join('\n')
  const [, union = ''] = /export type SpanName =([\s\S]*?)\n\n/.exec(texts) ?? []
  const spans = [...union.matchAll(/'([^']+)'/g)].map(([, name]) => name!)
  t.ok(spans.length > 5, `${spans.length} spans`)
  t.same(namesBelow('| span | kind | begins and ends | parent |').sort(), [...spans].sort())
  const used = new Set([...texts.matchAll(/'((?:parentfs\.[a-z_.]+|error\.type))':/g)].map(([, name]) => name!))
  used.delete('parentfs.mountpoint') // Of the resource.
  t.same([...new Set(namesBelow('| attribute | of | meaning |'))].sort(), [...used].sort())
})
