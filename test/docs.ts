/** Every page of the documentation: its links and the files that it names exist, and its lines have 120 columns. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'

const columnsMax = 120

/** Pages that name files of their own day. */
const isDated = (page: string) => /^docs\/(decisions\/\d|PERFORMANCE-LOG)/.test(page)

const pages = [
  ...['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'],
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
]

/** Every file of the repository that a page may name. */
const files = ['src', 'test', 'bench', 'docs', 'native-bindings', 'systemd', 'web'].flatMap(top =>
  readdirSync(top, { recursive: true, encoding: 'utf8' }).map(name => `/${top}/${name}`),
)

/** The lines that people wrap: no tables, pictures or code, and nothing that a benchmark writes. */
function proseOf(text: string): string[] {
  const written = text.replace(/<!--.*from here -->[\s\S]*?<!--.*to here -->/g, '').replace(/^```[\s\S]*?^```/gm, '')
  return written.split('\n').filter(line => !/^(\||!\[)/.test(line))
}

/** Relative paths in backquotes that end like a file of the repository. */
function filesNamedIn(text: string): string[] {
  return [...text.matchAll(/`([\w-][\w./-]*\.(?:ts|h|cc|md|yml|service))`/g)].map(([, path]) => path!)
}

/** Everything wrong with the pages: what `offencesOf` says of each, behind its name. */
function offencesIn(names: readonly string[], offencesOf: (text: string, page: string) => string[]): string[] {
  return names.flatMap(page => offencesOf(readFileSync(page, 'utf8'), page).map(offence => `${page}: ${offence}`))
}

t.test('every link leads to a file', async t => {
  t.ok(pages.length > 40, `${pages.length} pages`)
  const broken = offencesIn(pages, (text, page) => {
    const targets = [...text.matchAll(/\]\(([^)#]+)/g)].map(([, target]) => target!)
    return targets.filter(target => !/^https?:/.test(target) && !existsSync(join(dirname(page), target)))
  })
  t.same(broken, [])
})

t.test('every file that a page names exists, but for pages with a date', async t => {
  const current = pages.filter(page => !isDated(page))
  const missing = offencesIn(current, text =>
    filesNamedIn(text).filter(named => !existsSync(named) && !files.some(file => file.endsWith(`/${named}`))),
  )
  t.same(missing, [])
})

t.test('lines of prose have 120 columns at most', async t => {
  t.same(
    offencesIn(pages, text => proseOf(text).filter(line => line.length > columnsMax)),
    [],
  )
})
