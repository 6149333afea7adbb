/**
 * Limits of origin/oci/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB, MiB } from '../../base/limits.ts'

/**
 * Largest manifest or index that is read. Source: OCI distribution specification 1.1, "Pushing Manifests": registries
 * that bound them should take 4 MiB at least.
 */
export const manifestBytesMax = 4 * MiB

/** Disks of manifests that are remembered by digest, which never change: some KiB each. */
export const manifestsKeptMax = 1_024

/** Tags of a repository that a listing asks about: two requests each at first. Others are found by name. */
export const listedTagsMax = 1_000

/** Tags that a listing asks about at once: a quarter of the requests that most registries let one address have. */
export const tagsAtOnceMax = 8

/** The time for which a listing knows the names behind a tag: those of a tag that moved are seldom others. */
export const tagNamesMs = 60_000

/** Pages of tags read in one listing; registries give 50 to 1,000 tags a page. */
export const tagPagesMax = 200

/** Longest page of tags: 1,000 tags of 128 letters, and room for other fields. */
export const tagPageBytesMax = 1 * MiB

/** Longest answer of an error, a token server or a credential helper. */
export const smallAnswerBytesMax = 64 * KiB

/** Longest file of docker's or podman's credentials: some KiB with every registry of a company in it. */
export const loginFileBytesMax = 1 * MiB

/** The time for which a login from a file or a helper is taken as good; a refusal reads it anew before that. */
export const loginFreshMs = 300_000

/** Lifetime of a token where its server tells none. Source: Docker "Token Authentication Specification". */
export const tokenSecondsDefault = 60

/** A token is renewed so long before its end, or a quarter of its lifetime where that is less. */
export const tokenMarginMsMax = 10_000

/** Scopes asked for in one token: a registry wants one for reading, and perhaps one for listing. */
export const scopesMax = 4

/** Bytes of a layer asked for at once while its archive is searched: a containerDisk's file begins in these. */
export const tarWindowBytes = 64 * KiB

/** Bytes of a compressed layer that are unpacked to find its disk, which begins some KiB behind its front. */
export const archiveHeadBytesMax = 1 * MiB

/** Bytes that zlib gives at once: as many as a block of the cache and more, so that few calls cross threads. */
export const unpackedChunkBytes = 256 * KiB

/** Entries of an archive that are looked at: a containerDisk has a directory and a file. */
export const tarEntriesMax = 256

/** Longest extended header, which holds a long name: Linux has paths of 4 KiB. */
export const tarExtendedBytesMax = 64 * KiB
