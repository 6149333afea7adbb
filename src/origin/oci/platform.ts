/**
 * Platforms: the choice among the manifests of an index, by machine and by the form of the disk. Pure.
 *
 * Source: OCI image specification 1.1, image-index.md (platform, names of Go); Ironic,
 * doc/source/admin/oci-container-registry.rst (annotation disktype).
 */
import type { Descriptor, Platform } from './manifest.ts'

/** Other names of architectures that indexes have. */
const architectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  ppc64el: 'ppc64le',
  ia32: '386',
}

/** The platform of this host. */
export function hostPlatform(architecture: string = process.arch): Platform {
  return { os: 'linux', architecture: named(architecture), variant: null }
}

/** `OS/ARCHITECTURE[/VARIANT]`. @returns null where it is none */
export function platformOf(text: string): Platform | null {
  const [, os, architecture, variant = null] = /^([a-z0-9]+)\/([a-z0-9_-]+)(?:\/([a-z0-9.]+))?$/.exec(text) ?? []
  return os === undefined || architecture === undefined ? null : { os, architecture: named(architecture), variant }
}

/** As it is written. */
export function platformText({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === null ? [] : [variant])].join('/')
}

/**
 * The entries of an index for `platform`; those that name none where there is no other.
 * @param diskType the annotation that they have to have; null: any
 */
export function chosenOf(
  manifests: readonly Descriptor[],
  platform: Platform,
  diskType: string | null,
): readonly Descriptor[] {
  const ofType = manifests.filter(({ annotations }) => diskType === null || annotations.disktype === diskType)
  const same = ofType.filter(entry => entry.platform !== null && fits(entry.platform, platform))
  return same.length > 0 ? same : ofType.filter(entry => entry.platform === null)
}

function fits(offered: Platform, wanted: Platform): boolean {
  return (
    offered.os === wanted.os &&
    named(offered.architecture) === wanted.architecture &&
    (wanted.variant === null || offered.variant === wanted.variant)
  )
}

function named(architecture: string): string {
  return architectures[architecture] ?? architecture
}
