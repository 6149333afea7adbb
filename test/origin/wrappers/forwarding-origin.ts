/**
 * The base of all wrappers around an Origin.
 */
import { pathToFileURL } from 'node:url'
import t from 'tap'
import type { ReadOptions } from '../../../src/origin/contract/origin.ts'
import { FileOrigin } from '../../../src/origin/file/file-origin.ts'
import {
  ForwardingOrigin,
  type OriginCall,
  type OriginOperation,
} from '../../../src/origin/wrappers/forwarding-origin.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { ScriptedOrigin, scriptedImage } from '../../fixtures/scripted-origin.ts'

class PlainOrigin extends ForwardingOrigin {}

/** Notes each call, and makes it of another origin. */
class DivertingOrigin extends ForwardingOrigin {
  readonly operations: OriginOperation[] = []
  readonly #other: ScriptedOrigin

  constructor(inner: ScriptedOrigin, other: ScriptedOrigin) {
    super(inner)
    this.#other = other
  }

  protected override forward<T>(operation: OriginOperation, call: OriginCall<T>, options: ReadOptions): Promise<T> {
    this.operations.push(operation)
    return call(this.#other, options)
  }
}

originContract('a directory of images behind a wrapper that adds nothing', async directory => {
  return new PlainOrigin(new FileOrigin(pathToFileURL(directory).href, noHoles))
})

t.test('all calls but close pass through one method, which may choose another origin', async t => {
  const [inner, other] = [new ScriptedOrigin({}), new ScriptedOrigin({ a: Buffer.from('four') })]
  const origin = new DivertingOrigin(inner, other)
  const options = { signal: new AbortController().signal }
  const image = scriptedImage('a', 4)
  const target = Buffer.alloc(2)
  t.same(await origin.list(options), ['a'])
  t.equal((await origin.lookup('a', options)).sizeBytes, 4)
  await origin.read(image, 1, target, options)
  t.equal(target.toString(), 'ou')
  t.equal(await origin.extentAt(image, 0, options), null)
  t.equal((await origin.digest(image, options))?.algorithm, 'sha-256')
  t.same(origin.operations, ['list', 'lookup', 'read', 'extentAt', 'digest'])
  t.equal(inner.calls, 0)
  await origin.close()
  t.same([inner.closes, other.closes], [1, 0], 'it closes the one that it was given')
  t.equal(origin.url, inner.url)
})
