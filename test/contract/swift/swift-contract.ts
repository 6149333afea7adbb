/**
 * The contract of an origin, kept by the objects of a container: plain ones, and large ones made of segments.
 */
import { readFileSync } from 'node:fs'
import type { Origin } from '../../../src/origin/contract/origin.ts'
import { MirroringOrigin } from '../../fixtures/ceph/mirror.ts'
import type { SwiftObjects } from '../../fixtures/swift-objects.ts'
import { originContract } from '../origin.ts'

/** An account, in which containers are made. */
export interface SwiftSubject {
  readonly objects: SwiftObjects
  open(url: string): Origin
}

/** Bytes of a segment: the large image of the contract has several. */
const segmentBytes = 700_000

type ObjectKind = 'plain' | 'static' | 'dynamic'

export function swiftContract(
  name: string,
  subject: () => SwiftSubject,
  kinds: readonly ObjectKind[] = ['plain', 'static', 'dynamic'],
): void {
  if (kinds.includes('plain')) plainContract(name, subject)
  if (kinds.includes('static')) largeContract(name, subject, 'static')
  if (kinds.includes('dynamic')) largeContract(name, subject, 'dynamic')
}

function plainContract(name: string, subject: () => SwiftSubject): void {
  const word = name.replace(/\W+/g, '-')
  originContract(`${name}: plain objects`, async directory => {
    const { objects, open } = subject()
    const container = `plain-${word}`
    await objects.create(container)
    // Beside them, and none of them.
    await objects.put(container, 'other/big.img', new Uint8Array(3))
    return new MirroringOrigin(open(`swift://${container}/golden/x/`), directory, {
      put: (name, path) => objects.put(container, `golden/x/${name}`, readFileSync(path)),
      remove: name => objects.remove(container, `golden/x/${name}`),
    })
  })
}

function largeContract(name: string, subject: () => SwiftSubject, kind: 'static' | 'dynamic'): void {
  const word = name.replace(/\W+/g, '-')
  originContract(`${name}: ${kind} large objects`, async directory => {
    const { objects, open } = subject()
    const [container, parts] = [`${kind}-${word}`, `${kind}-${word}-segments`]
    for (const made of [container, parts]) await objects.create(made)
    const segments = new Map<string, string[]>()
    const remove = async (name: string) => {
      await objects.remove(container, name)
      for (const segment of segments.get(name) ?? []) await objects.remove(parts, segment)
    }
    const put = async (name: string, path: string) => {
      const names = await putSegments(objects, parts, name, readFileSync(path))
      segments.set(name, names)
      if (kind === 'dynamic') await objects.putDynamic(container, name, `${parts}/${encodeURIComponent(`${name}/`)}`)
      else if (names.length === 0) await objects.put(container, name, new Uint8Array(0))
      else
        await objects.putStatic(
          container,
          name,
          names.map(segment => ({ path: `/${parts}/${segment}` })),
        )
    }
    return new MirroringOrigin(open(`swift://${container}/`), directory, { put, remove })
  })
}

/** @returns the names of the segments, in order */
async function putSegments(objects: SwiftObjects, container: string, name: string, bytes: Buffer): Promise<string[]> {
  const names: string[] = []
  for (let at = 0; at < bytes.length; at += segmentBytes) {
    const segment = `${name}/${String(names.length).padStart(4, '0')}`
    await objects.put(container, segment, bytes.subarray(at, at + segmentBytes))
    names.push(segment)
  }
  return names
}
