/**
 * Rules of the style that a machine can hold: floors, lengths, headers, forbidden words, and the contents of the lock
 * file.
 *
 * Each rule is shown a planted offence, so that a rule that has gone blind is a failure.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { complaintsAboutNative } from './fixtures/tidy/native-file.ts'
import { complaintsAbout, fileLinesMax, type SourceFile } from './fixtures/tidy/source-file.ts'
import { satisfies } from './fixtures/tidy/version-range.ts'

const header = '/** A file. */\n'

t.test('every TypeScript file keeps the rules', async t => {
  const files = ['src', 'test', 'bench'].flatMap(directory => filesIn(directory, /\.ts$/))
  t.ok(files.length > 10, `${files.length} files`)
  t.same(files.flatMap(complaintsAbout), [])
})

t.test('an exported name means one thing', async t => {
  const names = filesIn('src', /\.ts$/).flatMap(({ text }) => exportedNames(text))
  t.same(
    names.filter((name, at) => names.indexOf(name) !== at),
    [],
  )
  t.same(exportedNames('export const a = 1\nexport class B {}\nexport async function* c() {}'), ['a', 'B', 'c'])
})

t.test('every native file keeps the rules', async t => {
  t.same(filesIn('native-bindings', /\.(cc|h)$/).flatMap(complaintsAboutNative), [])
})

t.test('an import upwards, sideways or out of the rooms is caught', async t => {
  const upwards = [
    '../cli/main.ts',
    '../daemon/ipc/messages.ts',
    '../../test/run.ts',
    '../elsewhere/x.ts',
    '../planted.ts',
  ]
  for (const target of upwards) {
    for (const text of [
      `import { a } from '${target}'`,
      `import type { A } from '${target}'`,
      `export { a } from '${target}'; export const b = 1`,
      `const a = await import('${target}')`,
      `type A = import('${target}').A`,
    ]) {
      t.equal(complaintsAbout({ path: 'src/admin/planted.ts', text: header + text }).length, 1, text)
    }
  }
  for (const target of [
    './other.ts',
    '../native/addon.ts',
    '../base/errors.ts',
    '../cache/read/miss-reader.ts',
    'node:fs',
    'pino',
  ]) {
    t.same(
      complaintsAbout({ path: 'src/admin/planted.ts', text: `${header}import { a } from '${target}'` }),
      [],
      target,
    )
  }
  const caught = (path: string, target: string) =>
    complaintsAbout({ path, text: `${header}import { a } from '${target}'` }).length
  t.equal(caught('src/cache/fetch/planted.ts', '../evict/evictor.ts'), 1, 'folders on one floor')
  t.equal(caught('src/cache/fetch/planted.ts', '../cache.ts'), 1, 'a sub-folder and its folder')
  t.equal(caught('src/cache/planted.ts', './fetch/fetcher.ts'), 0, 'a folder and its sub-folder')
  t.equal(caught('src/planted.ts', './base/errors.ts'), 1, 'no file lies directly in src/')
})

t.test('each other offence in a TypeScript file is caught', async t => {
  const offences: Record<string, string> = {
    'no header': 'export const a = 1\n',
    'too long': header + 'export const a = 1\n'.repeat(fileLinesMax),
    'long function': `${header}export function f() {\n${'f()\n'.repeat(69)}}\n`,
    'long method': `${header}class A {\n  f() {\n${'f()\n'.repeat(69)}}\n}\n`,
    'default export': `${header}export default 1\n`,
    'default function': `${header}export default function f() {}\n`,
    barrel: `${header}export * from './a.ts'\n`,
    any: `${header}const a: any = 1\n`,
    extension: `${header}import { a } from './a'\n`,
    errno: `${header}const numbers = { ENOENT: 2 }\n`,
    question: '/** What it is. */\n',
    'question below': `${header}/**\n * How it does it.\n */\nexport const a = 1\n`,
    'wide comment': `/** ${'word '.repeat(24)}*/\n`,
  }
  for (const [what, text] of Object.entries(offences)) {
    t.equal(complaintsAbout({ path: 'src/cache/planted.ts', text }).length, 1, what)
  }
  t.same(
    complaintsAbout({ path: 'src/fuse/filesystem/errno.ts', text: `${header}const numbers = { ENOENT: 2 }\n` }),
    [],
  )
})

t.test('native includes that point up, and Node-API outside bridge/, are caught', async t => {
  const planted = (path: string, line: string) => complaintsAboutNative({ path, text: `// A file.\n${line}\n` }).length
  t.equal(planted('native-bindings/wire/a.h', '#include "image/b.h"'), 1)
  t.equal(planted('native-bindings/image/a.cc', '#include "../session/b.h"'), 1)
  t.equal(planted('native-bindings/session/a.cc', '#include <node_api.h>'), 1)
  t.equal(planted('native-bindings/session/a.cc', '#include <napi.h>'), 1)
  t.equal(planted('native-bindings/session/a.cc', '#include "image/b.h"'), 0)
  t.equal(planted('native-bindings/bridge/a.cc', '#include <napi.h>'), 0)
  t.equal(planted('native-bindings/attic/a.cc', '#include "b.h"'), 1, 'a room without a rule')
})

t.test('the lock file names no registry', async t => {
  const lock = readFileSync('package-lock.json', 'utf8')
  t.notMatch(lock, /"resolved"/)
  t.notMatch(lock, /https?:\/\/[^"]*\.tgz/)
})

t.test('every dependency accepts the Node.js that it is meant to run on', async t => {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest
  const lowest = `${/^>=(\d+\.\d+(\.\d+)?)$/.exec(manifest.engines.node)?.[1]}`
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, LockedPackage> }
  const refusing: string[] = []
  for (const [path, { engines, dev }] of Object.entries(lock.packages)) {
    // Development dependencies may want a later 20.
    const version = dev ? '20.20.0' : lowest
    if (engines?.node && !satisfies(version, engines.node.replace(/^node /, ''))) {
      refusing.push(`${path} wants Node.js ${engines.node}, not ${version}`)
    }
  }
  t.same(refusing, [])
})

t.test('ranges of versions are understood', async t => {
  const cases: [string, string, boolean][] = [
    ['20.15.0', '>=20', true],
    ['20.15.0', '>= 22', false],
    ['20.15.0', '^18 || ^20.17.0', false],
    ['20.18.0', '^18 || ^20.17.0', true],
    ['20.15.0', '10.* || 20.*', true],
    ['20.15.0', '20 || >=22', true],
    ['20.15.0', '>=14 <20', false],
    ['20.15.0', '~20.15', true],
    ['20.15.0', '*', true],
  ]
  for (const [version, range, expected] of cases) t.equal(satisfies(version, range), expected, `${version} in ${range}`)
  t.throws(() => satisfies('20.15.0', 'latest'))
})

/** Names that a file defines and exports. */
function exportedNames(text: string): string[] {
  const kinds = /^export (?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type|enum) (\w+)/gm
  return [...text.matchAll(kinds)].map(([, name]) => name!)
}

interface Manifest {
  readonly engines: { readonly node: string }
}

interface LockedPackage {
  readonly engines?: { readonly node?: string }
  readonly dev?: boolean
}

function filesIn(directory: string, name: RegExp): SourceFile[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter(path => name.test(path) && !path.startsWith('build/'))
    .map(path => join(directory, path))
    .map(path => ({ path, text: readFileSync(path, 'utf8') }))
}
