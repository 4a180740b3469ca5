// SPDX-License-Identifier: PostgreSQL
/*
 * ui.js: small helpers of the page: elements, lists kept in step with data, names, times.
 * What users wrote enters the page through text nodes only; there is no innerHTML in this client, and the gateway's
 * Content-Security-Policy allows neither inline scripts nor inline styles.
 */

export const $ = (selector) => document.querySelector(selector);

// el('button.primary', {type: 'button', onclick: f}, 'Text', child, …)
export function el(selector, properties = {}, ...children)
{
	const [tag, ...classes] = selector.split('.');
	const node = document.createElement(tag);
	node.className = classes.join(' ');
	for (const [name, value] of Object.entries(properties))
	{
		if (name.includes('-') || name === 'role')
			node.setAttribute(name, value);
		else
			node[name] = value;
	}
	node.append(...children.filter((child) => child != null));
	return node;
}

export function icon(name)
{
	const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
	const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
	svg.setAttribute('class', 'icon');
	svg.setAttribute('aria-hidden', 'true');
	use.setAttribute('href', `#icon-${name}`);
	svg.append(use);
	return svg;
}

/*
 * Makes parent's children those of items: {key, draw() → element, sign}. An element stays as long as its key is there
 * and its sign is the same, and is moved only when its neighbours changed; the focus survives a move.
 */
export function reconcile(parent, items)
{
	const focus = document.activeElement;
	const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
	const keys = new Set(items.map(({ key }) => key));
	for (const [key, node] of old)
		if (!keys.has(key))
			node.remove();
	let at = parent.firstChild;
	for (const { key, sign, draw } of items)
	{
		let node = old.get(key);
		if (!node || node.sign !== sign)
		{
			const drawn = draw();
			drawn.dataset.key = key;
			drawn.sign = sign;
			if (node)
			{
				if (at === node)
					at = drawn;
				node.replaceWith(drawn);
			}
			node = drawn;
		}
		if (node === at)
			at = at.nextSibling;
		else
			parent.insertBefore(node, at);
	}
	if (focus !== document.activeElement && focus.isConnected)
		focus.focus({ preventScroll: true });
}

/* ---- people ---- */

export function nameOf(chat, me)
{
	const { title, other_user: other } = chat.row;
	if (other && other.id === me?.id)
		return 'Notes to yourself';
	return title || other?.display_name || other?.user_name || (chat.row.kind === 'direct' ? 'Deleted account' : 'Chat');
}

const segmenter = globalThis.Intl?.Segmenter ? new Intl.Segmenter() : null;
const firstLetter = (word) => (segmenter ? segmenter.segment(word)[Symbol.iterator]().next().value?.segment : [...word][0]) ?? '';

export function avatar(name, id)
{
	const words = name.trim().split(/\s+/);
	const initials = words.length > 1 ? firstLetter(words[0]) + firstLetter(words.at(-1)) : firstLetter(words[0]);
	let hash = 0x811c9dc5;
	for (const letter of String(id))
		hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
	return el(`span.avatar.hue-${(hash >>> 16) % 8}`, { 'aria-hidden': 'true' }, initials.toLocaleUpperCase());
}

/* ---- times ---- */

const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const shortWeekday = new Intl.DateTimeFormat(undefined, { weekday: 'short' });
const dayOfYear = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const fullDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const shortDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const shortDate = new Intl.DateTimeFormat(undefined, { dateStyle: 'short' });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

// Calendar days from date until today, in the reader's time zone.
function daysAgo(date)
{
	const midnight = (day) => Date.UTC(day.getFullYear(), day.getMonth(), day.getDate());
	return Math.round((midnight(new Date()) - midnight(date)) / 864e5);
}

export const timeOf = (at) => clock.format(new Date(at));
export const exactTime = (at) => exact.format(new Date(at));
export const dayKey = (at) => new Date(at).toDateString();

export function dayName(at)
{
	const date = new Date(at);
	const days = daysAgo(date);
	if (days <= 0)
		return 'Today';
	if (days === 1)
		return 'Yesterday';
	if (days < 7)
		return weekday.format(date);
	return date.getFullYear() === new Date().getFullYear() ? dayOfYear.format(date) : fullDay.format(date);
}

export function shortTime(at)
{
	const date = new Date(at);
	const days = daysAgo(date);
	if (days <= 0)
		return clock.format(date);
	if (days === 1)
		return 'Yesterday';
	if (days < 7)
		return shortWeekday.format(date);
	return date.getFullYear() === new Date().getFullYear() ? shortDay.format(date) : shortDate.format(date);
}

/* ---- text ---- */

// Text nodes, and links for what looks like a web address.
export function withLinks(text)
{
	const parts = [];
	let from = 0;
	for (const match of text.matchAll(/\bhttps?:\/\/[^\s<>"']+/g))
	{
		const address = match[0].replace(/[.,:;!?)\]}]+$/, '');
		if (!URL.canParse?.(address))
			continue;
		parts.push(text.slice(from, match.index),
			el('a', { href: address, target: '_blank', rel: 'noopener noreferrer' }, address));
		from = match.index + address.length;
	}
	parts.push(text.slice(from));
	return parts;
}
