// SPDX-License-Identifier: PostgreSQL
/*
 * conversation.js: one chat on show: header, messages, composer. Draws what the store has; decides only where to scroll
 * and what counts as seen.
 *
 * Scrolling: at the end the view stays at the end; elsewhere the first message in view keeps its place whatever is
 * added above or below. Near the top older messages are fetched. A chat opens at its first unread message.
 * Seen = the page is visible and the view at the end: then the store marks the chat read.
 */

import { compareIds } from './chat.js';
import { $, avatar, dayKey, dayName, el, exactTime, icon, nameOf, reconcile, timeOf, withLinks } from './ui.js';

const NEAR_END = 60;            // px from the end that still count as there
const NEAR_TOP = 400;           // px from the top at which older messages are fetched
const GROUP_GAP = 5 * 60000;    // ms within which messages of one sender form a group
const BODY_MAX = 4096;          // code points the server takes by default
const COUNT_FROM = 3600;

export class Conversation
{
	#store;
	#onError;
	#chat = null;               // chat on show, or null
	#place = null;              // where to scroll at the next draw: 'start' (chat just opened), 'end' or null (stay)
	#readAtOpen = null;         // number of the last message read before, when there were unread ones
	#newestId = null;           // newest message drawn; newer ones are announced and counted
	#below = 0;                 // messages that came while the view was not at the end
	#drafts = new Map();        // chat id → unsent text

	#scroller = $('#scroller');
	#messages = $('#messages');
	#body = $('#body');

	constructor(store, onError)
	{
		this.#store = store;
		this.#onError = onError;
		this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
		// A phone's keyboard, a turned screen, a banner: the end stays in view.
		let atEnd = true;
		this.#scroller.addEventListener('scroll', () => { atEnd = this.#atEnd(); }, { passive: true });
		new ResizeObserver(() => atEnd && this.#toEnd()).observe(this.#scroller);
		document.addEventListener('visibilitychange', () => this.draw());
		$('#jump').addEventListener('click', () => this.#scroller.scrollTo({ top: this.#scroller.scrollHeight, behavior: 'smooth' }));
		$('#composer').addEventListener('submit', (event) => { event.preventDefault(); this.#send(); });
		this.#body.addEventListener('input', () => this.#fitBody());
		this.#body.addEventListener('keydown', (event) => {
			if (event.key === 'Enter' && !event.shiftKey && !event.isComposing)
			{
				event.preventDefault();
				this.#send();
			}
		});
	}

	show(chat)
	{
		if (this.#chat === chat)
			return;
		if (this.#chat)
			this.#drafts.set(this.#chat.id, this.#body.value);
		this.#chat = chat;
		this.#place = 'start';
		this.#readAtOpen = chat?.unread ? chat.readCount : null;
		this.#newestId = null;
		this.#below = 0;
		$('#nothing').hidden = chat !== null;
		$('#chat').hidden = chat === null;
		this.#messages.replaceChildren();
		this.#body.value = this.#drafts.get(chat?.id) ?? '';
		this.#fitBody();
		this.draw();
		if (chat && matchMedia('(pointer: fine)').matches)
			this.#body.focus();
	}

	clear()
	{
		this.show(null);
		this.#drafts.clear();
	}

	draw()
	{
		const chat = this.#chat;
		if (!chat)
			return;
		this.#drawHeader(chat);
		const atEnd = this.#atEnd();
		const held = this.#place || atEnd ? null : this.#hold();
		reconcile(this.#messages, this.#items(chat));
		this.#countNews(chat, atEnd);
		if (this.#place)
			this.#toPlace(chat);
		else if (atEnd)
			this.#toEnd();
		else
			this.#restore(held);
		this.#scrolled();
	}

	/* ---- rows ---- */

	#drawHeader(chat)
	{
		const name = nameOf(chat, this.#store.me);
		const other = chat.row.other_user;
		const sign = `${chat.id} ${name}`;
		if ($('#chat').sign === sign)
			return;
		$('#chat').sign = sign;
		$('#chat-avatar').replaceChildren(avatar(name, other?.id ?? chat.id));
		$('#chat-name').textContent = name;
		$('#chat-note').textContent = other && other.id !== this.#store.me?.id ? `@${other.user_name}` : '';
	}

	#items(chat)
	{
		if (!chat.loaded && !chat.outbox.length)
			return [{ key: 'loading', sign: '', draw: () => el('li.note.loading', {}, el('span.spinner', { 'aria-label': 'Loading' })) }];
		const rows = [
			...chat.messages.map((message) => this.#messageRow(chat, message)),
			...chat.outbox.map((item) => this.#outboxRow(item)),
		];
		const items = [this.#topItem(chat, rows)];
		// Above the first message that was unread when the chat was opened.
		const dividerId = this.#readAtOpen === null ? null : chat.messages.find(({ number }) => number > this.#readAtOpen)?.id;
		let previous = null;
		rows.forEach((row, index) => {
			if (!previous || dayKey(previous.at) !== dayKey(row.at))
			{
				const name = dayName(row.at);
				items.push({ key: `day ${row.key}`, sign: name, draw: () => el('li.day', {}, el('span', {}, name)) });
				previous = null;
			}
			if (row.id && row.id === dividerId)
			{
				items.push({ key: 'unread', sign: '', draw: () => el('li.unread', {}, el('span', {}, 'New messages')) });
				previous = null;
			}
			const next = rows[index + 1];
			row.first = !previous || !together(previous, row);
			row.last = !next || !together(row, next) || (next.id && next.id === dividerId);
			items.push(this.#item(row));
			previous = row;
		});
		return items;
	}

	#topItem(chat, rows)
	{
		if (chat.hasOlder)
			return { key: 'top', sign: 'older', draw: () => el('li.note.loading', {}, el('span.spinner', { 'aria-label': 'Loading older messages' })) };
		if (rows.length)
			return { key: 'top', sign: 'start', draw: () => el('li.note', {}, 'This is the beginning of the conversation.') };
		return { key: 'top', sign: 'empty', draw: () => this.#emptyChat(chat) };
	}

	#emptyChat(chat)
	{
		const name = nameOf(chat, this.#store.me);
		const mine = chat.row.other_user?.id === this.#store.me?.id;
		return el('li.empty', {}, avatar(name, chat.row.other_user?.id ?? chat.id), el('h3', {}, name),
			el('p', {}, mine ? 'Only you can read what you write here.' : 'No messages yet. Say hello.'));
	}

	#messageRow(chat, message)
	{
		const mine = message.sender_id === this.#store.me?.id;
		const direct = chat.row.kind === 'direct' && chat.row.other_user?.id !== this.#store.me?.id;
		const read = mine && direct && chat.otherReadId && compareIds(message.id, chat.otherReadId) <= 0;
		return { key: message.client_key ?? message.id, id: message.id, at: message.sent_at, mine, sender: message.sender_id,
			system: message.kind === 'system', deleted: Boolean(message.deleted_at), edited: Boolean(message.edited_at),
			body: message.body ?? '', status: !mine ? '' : read ? 'read' : 'sent',
			name: mine ? 'You' : chat.row.other_user?.display_name ?? '' };
	}

	#outboxRow(item)
	{
		return { key: item.client_key, id: null, at: item.at, mine: true, sender: this.#store.me?.id, body: item.body,
			status: item.error ? 'failed' : 'pending', item, name: 'You' };
	}

	#item(row)
	{
		const { id, at, first, last, status, deleted, edited, body, name, system } = row;
		const sign = [id, at, first, last, status, deleted, edited, name, row.item?.error?.message, body].join('\n');
		return { key: row.key, sign, draw: () => (system ? el('li.note', { title: exactTime(at) }, body) : this.#draw(row)) };
	}

	#draw(row)
	{
		const text = row.deleted ? [el('em', {}, 'Message deleted')] : withLinks(row.body);
		const big = !row.deleted && /^(\p{Extended_Pictographic}[\u{FE0F}\u{200D}\u{1F3FB}-\u{1F3FF}]*){1,3}$/u.test(row.body.trim());
		const bubble = el(`div.bubble${big ? '.big' : ''}`, {},
			el('span.sr-only', {}, `${row.name}: `),
			el('span.text', { dir: 'auto' }, ...text),
			el('span.meta', { title: exactTime(row.at) }, row.edited ? 'edited ' : null,
				el('time', { dateTime: row.at }, timeOf(row.at)), row.status && statusMark(row.status)));
		const node = el(['li.message', row.mine ? 'mine' : 'theirs', row.status, row.first && 'first', row.last && 'last']
			.filter(Boolean).join('.'), {}, bubble);
		if (row.status === 'failed')
			node.append(this.#failure(row.item));
		return node;
	}

	#failure(item)
	{
		const chat = this.#chat;
		return el('div.failure', { role: 'alert' }, `Not sent: ${describe(item.error)} `,
			el('button.link', { type: 'button', onclick: () => this.#store.retry(chat, item) }, 'Try again'), ' ',
			el('button.link', { type: 'button', onclick: () => this.#store.discard(chat, item) }, 'Discard'));
	}

	/* ---- scrolling ---- */

	#atEnd()
	{
		const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
		return scrollHeight - scrollTop - clientHeight < NEAR_END;
	}

	#toEnd()
	{
		this.#scroller.scrollTop = this.#scroller.scrollHeight;
	}

	#toPlace(chat)
	{
		const divider = this.#messages.querySelector('.unread');
		if (this.#place === 'start' && divider)
			this.#scroller.scrollTop += divider.getBoundingClientRect().top - this.#scroller.getBoundingClientRect().top - 60;
		else
			this.#toEnd();
		if (chat.loaded)
			this.#place = null;
	}

	// The first message in view and how far it is from the top of the view.
	#hold()
	{
		const top = this.#scroller.getBoundingClientRect().top;
		for (const node of this.#messages.querySelectorAll('.message'))
		{
			const at = node.getBoundingClientRect();
			if (at.bottom > top)
				return { key: node.dataset.key, offset: at.top - top };
		}
		return null;
	}

	#restore(held)
	{
		const node = held && this.#messages.querySelector(`[data-key="${CSS.escape(held.key)}"]`);
		if (node)
			this.#scroller.scrollTop += node.getBoundingClientRect().top - this.#scroller.getBoundingClientRect().top - held.offset;
	}

	#scrolled()
	{
		const chat = this.#chat;
		if (!chat?.loaded)
			return;
		const atEnd = this.#atEnd();
		if (atEnd)
			this.#below = 0;
		$('#jump').hidden = atEnd;
		$('#jump').setAttribute('aria-label', this.#below ? `${this.#below} new, go to the newest message` : 'Go to the newest message');
		$('#jump-count').textContent = this.#below || '';
		if (this.#scroller.scrollTop < NEAR_TOP && chat.hasOlder && !chat.loadingOlder)
			this.#store.loadOlder(chat).catch(this.#onError);
		if (atEnd && chat.unread && document.visibilityState === 'visible')
			this.#store.markRead(chat);
	}

	#countNews(chat, atEnd)
	{
		const newest = chat.messages.at(-1)?.id;
		if (!chat.loaded || !newest)
			return;
		const news = this.#newestId === null ? []
			: chat.messages.filter(({ id, sender_id: sender }) => compareIds(id, this.#newestId) > 0 && sender !== this.#store.me?.id);
		this.#newestId = newest;
		if (!news.length)
			return;
		if (!atEnd)
			this.#below += news.length;
		$('#announcer').textContent = `${nameOf(chat, this.#store.me)}: ${news.at(-1).body ?? ''}`;
	}

	/* ---- composer ---- */

	#send()
	{
		const body = this.#body.value.trim();
		if (!this.#chat || !body || [...body].length > BODY_MAX)
			return;
		this.#body.value = '';
		this.#drafts.delete(this.#chat.id);
		this.#fitBody();
		this.#readAtOpen = null;
		this.#place = 'end';
		this.#store.send(this.#chat, body);
		this.#body.focus();
	}

	#fitBody()
	{
		const body = this.#body;
		body.style.height = 'auto';
		body.style.height = `${body.scrollHeight + body.offsetHeight - body.clientHeight}px`;
		const length = body.value.length < COUNT_FROM ? 0 : [...body.value.trim()].length;
		$('#body-count').textContent = length >= COUNT_FROM ? `${length} / ${BODY_MAX}` : '';
		$('#composer').classList.toggle('too-long', length > BODY_MAX);
		$('#composer .send').disabled = !body.value.trim() || length > BODY_MAX;
	}
}

export function describe(error)
{
	const message = error.message.charAt(0).toLocaleUpperCase() + error.message.slice(1);
	return [message.replace(/\.$/, ''), error.hint?.replace(/\.$/, '')].filter(Boolean).join('. ') + '.';
}

function together(row, next)
{
	return row.sender === next.sender && !row.system && !next.system && dayKey(row.at) === dayKey(next.at)
		&& new Date(next.at) - new Date(row.at) < GROUP_GAP;
}

const STATUS = { pending: 'Sending', sent: 'Sent', read: 'Read' };

function statusMark(status)
{
	return STATUS[status] ? el('span.status', { title: STATUS[status] }, icon(status), el('span.sr-only', {}, STATUS[status])) : null;
}
