/** The draw of mutants. */
import t from 'tap'
import { draw, type Mutation } from '../fixtures/mutation/mutation.ts'
import { mutationsOfNative } from '../fixtures/mutation/native.ts'
import { nearestTests } from '../fixtures/mutation/nearest.ts'
import { mutationsOfTypeScript } from '../fixtures/mutation/typescript.ts'
import { seeded } from '../fixtures/seeded.ts'

const applied = (text: string, mutations: readonly Mutation[]) =>
  mutations.map(({ start, end, text: other }) => text.slice(0, start) + other + text.slice(end))

t.test('TypeScript is changed at each operator, condition, statement, await, number and truth', async t => {
  const made = (text: string) => applied(text, mutationsOfTypeScript('a.ts', text))
  t.same(made('const a = b < c'), ['const a = b <= c'])
  t.same(made('const a = b && c'), ['const a = b || c'])
  t.same(made('const a = b ? c : d'), ['const a = !(b) ? c : d'])
  t.same(made('if (a) return'), ['if (!(a)) return', ';'])
  t.same(made('if (a) return; else b = c'), ['if (!(a)) return; else b = c', 'if (a) return; else ;'])
  t.same(made('await a()'), [';', 'a()'])
  t.same(made('const a = [1, true]'), ['const a = [(1 + 1), true]', 'const a = [1, false]'])
  t.same(made("import a from 'b'; type A = 1; const c = 'x' + d; assert(e) // 1 < 2"), [])
})

t.test('C++ is changed at the same, and not in comments, texts, templates or lines of the preprocessor', async t => {
  const made = (text: string) => applied(text, mutationsOfNative(text))
  t.same(made('a < b'), ['a <= b'])
  t.same(made('a >= b'), ['a > b'])
  t.same(made('a && b'), ['a || b'])
  t.same(made('a - b'), ['a + b'])
  t.same(made('  if (a(b)) return;'), ['  if (!(a(b))) return;', '  ;'])
  t.same(made('  a->b(c);'), ['  ;'])
  t.same(made('a[2]'), ['a[(2 + 1)]'])
  t.same(made('/* a < b */ x // 1\n#if 1\nstd::vector<int> c("1 < 2");'), [])
})

t.test('a seed draws the same again, spread over the lines, and leaves the rest of the file', async t => {
  const text = Array.from({ length: 100 }, (_, k) => `a = ${k}`).join('\n')
  const source = { path: 'a.ts', text, mutations: mutationsOfTypeScript('a.ts', text) }
  const mutants = draw([source], 10, seeded(7))
  t.same(draw([source], 10, seeded(7)), mutants)
  for (const [k, { line, text: changed }] of mutants.entries()) {
    t.ok(line > 10 * k && line <= 10 * (k + 1), `line ${line}`)
    const lines = changed.split('\n')
    t.same(
      lines.filter((each, at) => each !== text.split('\n')[at]),
      [lines[line - 1]],
    )
  }
})

t.test('the nearest tests of a file are those of its path, then of its folder, then by imports', async t => {
  const files = ['src/base/sizes', 'src/store/limits', 'src/store/store', 'test/base/sizes', 'test/base/limits']
  const compiled = files.map(name => `build/${name}.js`)
  t.equal(nearestTests('build/src/base/sizes.js', compiled, ['base/limits', 'base/sizes'])[0], 'base/sizes')
  const command = 'cli/commands/check-config'
  t.same(nearestTests(`build/src/${command}.js`, compiled, [command, 'base/sizes']), [command], 'it starts the program')
})
