// SPDX-License-Identifier: PostgreSQL
/*
 * app.js: the page: welcome form, list of chats, search, connection banner, and which chat is on show.
 *
 *  1. A token in localStorage → the client signs in by itself; none, or a refused one → the welcome form.
 *  2. The address names the chat on show (#/chat/ID), so that reload, back and forward work.
 *  3. The store says onChange → draw() brings everything on screen in line with it.
 * Other tabs share the token: logging in or out in one does so in all.
 */

import { ChatClient } from './chat.js';
import { Conversation, describe } from './conversation.js';
import { Store } from './store.js';
import { $, avatar, el, nameOf, reconcile, shortTime } from './ui.js';

const TOKEN = 'chat.token';     // key in localStorage
const BANNER_DELAY = 700;       // ms: a reconnection shorter than this is not worth a word
const SEARCH_DELAY = 200;       // ms after the last key
const TOAST_TIME = 6000;

const client = new ChatClient({ token: localStorage.getItem(TOKEN) });
const store = new Store(client);
const conversation = new Conversation(store, showError);

/* ---- welcome ---- */

const form = $('#credentials');
let signUp = false;

function setSignUp(wanted)
{
	signUp = wanted;
	form.classList.toggle('sign-up', signUp);
	form.password.autocomplete = signUp ? 'new-password' : 'current-password';
	$('#welcome-title').textContent = signUp ? 'Create your account' : 'Welcome back';
	$('#form-submit').textContent = signUp ? 'Create account' : 'Log in';
	$('#switch-text').textContent = signUp ? 'Already have an account?' : 'New here?';
	$('#switch').textContent = signUp ? 'Log in' : 'Create an account';
	$('#form-error').hidden = true;
	(signUp ? form.display_name : form.user_name).focus();
}

async function submit(event)
{
	event.preventDefault();
	const user_name = form.user_name.value.trim().toLowerCase();
	const password = form.password.value;
	const display_name = form.display_name.value.trim() || user_name;
	$('#form-error').hidden = true;
	$('#form-submit').disabled = true;
	try
	{
		if (signUp)
			await client.call('register_user', { user_name, password, display_name });
		await client.logIn({ user_name, password, device_name: deviceName() });
		localStorage.setItem(TOKEN, client.token);
		form.reset();
		setSignUp(false);
		show();
	}
	catch (error)
	{
		$('#form-error').textContent = describe(error);
		$('#form-error').hidden = false;
	}
	finally
	{
		$('#form-submit').disabled = false;
	}
}

function deviceName()
{
	const agent = navigator.userAgent;
	const browser = /Edg\//.test(agent) ? 'Edge' : /Firefox\//.test(agent) ? 'Firefox' : /Chrom/.test(agent) ? 'Chrome'
		: /Safari\//.test(agent) ? 'Safari' : 'Browser';
	const system = /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Windows/.test(agent) ? 'Windows'
		: /Mac OS/.test(agent) ? 'macOS' : /Linux/.test(agent) ? 'Linux' : '';
	return system ? `${browser} on ${system}` : browser;
}

function signedOut(error)
{
	localStorage.removeItem(TOKEN);
	store.clear();
	conversation.clear();
	closeSearch();
	location.hash = '#/';
	show();
	if (error.reason !== 'logged_out')
	{
		$('#form-error').textContent = describe(error);
		$('#form-error').hidden = false;
	}
}

/* ---- list of chats ---- */

function draw()
{
	const { me } = store;
	if (me)
	{
		const sign = `${me.id} ${me.display_name}`;
		if ($('#me-avatar').sign !== sign)
			$('#me-avatar').replaceChildren(avatar(me.display_name || me.user_name, me.id));
		$('#me-avatar').sign = sign;
		$('#me-name').textContent = me.display_name || me.user_name;
		$('#me-user-name').textContent = `@${me.user_name}`;
	}
	const unread = store.unread();
	document.title = unread ? `(${unread}) Chat` : 'Chat';
	drawChats();
	if (store.chats.has(store.openId))
		conversation.show(store.chats.get(store.openId));
	conversation.draw();
}

function drawChats()
{
	const wanted = $('#search').value.trim().toLocaleLowerCase();
	const chats = store.list().filter((chat) => !wanted || searchable(chat).includes(wanted));
	reconcile($('#chats'), chats.map((chat) => {
		const name = nameOf(chat, store.me);
		const last = lastOf(chat);
		const open = chat.id === store.openId;
		const time = last.at ? shortTime(last.at) : '';
		return { key: chat.id, sign: [name, last.text, time, chat.unread, open].join('\n'),
			draw: () => drawChat(chat, name, last.text, time, open) };
	}));
	const note = wanted || !store.loaded || chats.length ? '' : 'No conversations yet. Find somebody by name to start one.';
	if (!wanted)
		setNote(note);
}

function drawChat(chat, name, text, time, open)
{
	const { unread } = chat;
	const link = el('a.row', { href: `#/chat/${chat.id}` },
		avatar(name, chat.row.other_user?.id ?? chat.id),
		el('span.name', { dir: 'auto' }, name), el('time', {}, time),
		el('span.preview', { dir: 'auto' }, text),
		unread ? el('span.badge', {}, unread > 99 ? '99+' : String(unread), el('span.sr-only', {}, ' unread')) : null);
	if (open)
		link.setAttribute('aria-current', 'true');
	return el(`li${unread ? '.has-unread' : ''}`, {}, link);
}

function lastOf(chat)
{
	const item = chat.outbox.at(-1);
	if (item)
		return { text: `You: ${item.body}`, at: item.at };
	const last = chat.row.last_message;
	if (!last)
		return { text: 'No messages yet', at: null };
	if (last.deleted_at)
		return { text: 'Message deleted', at: last.sent_at };
	return { text: (last.sender_id === store.me?.id ? 'You: ' : '') + (last.body ?? ''), at: last.sent_at };
}

function searchable(chat)
{
	return `${nameOf(chat, store.me)} ${chat.row.other_user?.user_name ?? ''}`.toLocaleLowerCase();
}

function setNote(text)
{
	$('#list-note').textContent = text;
	$('#list-note').hidden = !text;
}

/* ---- search ---- */

let searchTimer = null;
let searches = 0;               // only the latest answer is shown

function searchChanged()
{
	clearTimeout(searchTimer);
	searches++;
	drawChats();
	const pattern = $('#search').value.trim();
	if ([...pattern].length < 2)
	{
		$('#people').hidden = true;
		setNote(pattern ? 'Two letters at least.' : '');
		drawChats();
		return;
	}
	searchTimer = setTimeout(() => search(pattern, searches), SEARCH_DELAY);
}

async function search(pattern, number)
{
	try
	{
		const page = await store.searchUsers(pattern);
		if (number !== searches)
			return;
		// Those with whom there is a chat already are among the chats.
		const known = new Set(store.list().filter(({ row }) => row.kind === 'direct').map(({ row }) => row.other_user?.id));
		const people = page.rows.filter(({ id }) => !known.has(id));
		reconcile($('#people-list'), people.map((user) => ({
			key: user.id, sign: `${user.display_name}\n${user.user_name}`, draw: () => drawPerson(user) })));
		$('#people').hidden = people.length === 0;
		const none = page.rows.length === 0 && $('#chats').childElementCount === 0;
		setNote(none ? `Nobody found for “${pattern}”.` : page.has_more ? 'There are more: write more of the name.' : '');
	}
	catch (error)
	{
		if (number === searches)
			setNote(describe(error));
	}
}

function drawPerson(user)
{
	const name = user.display_name || user.user_name;
	return el('li', {}, el('button.row', { type: 'button', onclick: () => openDirect(user.id) }, avatar(name, user.id),
		el('span.name', { dir: 'auto' }, name), el('span.preview', {}, `@${user.user_name}`)));
}

async function openDirect(userId)
{
	try
	{
		const chat = await store.openDirect(userId);
		closeSearch();
		location.hash = `#/chat/${chat.id}`;
	}
	catch (error)
	{
		showError(error);
	}
}

function closeSearch()
{
	clearTimeout(searchTimer);
	searches++;
	$('#search').value = '';
	$('#people').hidden = true;
	setNote('');
	drawChats();
}

function moveFocus(event)
{
	if (event.key === 'Escape' && $('#search').value)
	{
		closeSearch();
		$('#search').focus();
		event.preventDefault();
	}
	if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp')
		return;
	const stops = [$('#search'), ...document.querySelectorAll('.lists .row')].filter((node) => node.offsetParent);
	const at = stops.indexOf(document.activeElement);
	const next = stops[at + (event.key === 'ArrowDown' ? 1 : -1)];
	if (at >= 0 && next)
	{
		next.focus();
		event.preventDefault();
	}
}

/* ---- which view, which chat ---- */

function show()
{
	const signedIn = client.token !== null;
	$('#welcome').hidden = signedIn;
	$('#app').hidden = !signedIn;
	if (signedIn)
		route();
	else
		form.user_name.focus();
	draw();
}

async function route()
{
	const id = /^#\/chat\/([0-9]+)$/.exec(location.hash)?.[1] ?? null;
	if (client.token === null)
		return;
	$('#app').classList.toggle('in-chat', id !== null);
	if (id === null)
	{
		store.openId = null;
		conversation.show(null);
		draw();
		return;
	}
	conversation.show(store.chats.get(id) ?? null);
	try
	{
		await store.open(id);
	}
	catch (error)
	{
		if (store.openId !== id || client.token === null)
			return;
		// While offline the chat stays on show: it is read when the client is ready again.
		if (error.code === 404 || error.code === 403)
			location.hash = '#/';
		if (error.code !== 503)
			showError(error);
	}
}

/* ---- messages of the page itself ---- */

let bannerTimer = null;

function stateChanged()
{
	const fine = client.state === 'ready' || client.token === null;
	if (fine || !$('#banner').hidden)
	{
		clearTimeout(bannerTimer);
		bannerTimer = null;
		drawBanner(!fine);
	}
	else
	{
		bannerTimer ??= setTimeout(() => drawBanner(true), BANNER_DELAY);
	}
}

function drawBanner(wanted)
{
	$('#banner-text').textContent = store.me ? 'Connection lost. Reconnecting…' : 'Connecting…';
	$('#banner-retry').hidden = client.state !== 'waiting';
	$('#banner').hidden = !wanted;
}

let toastTimer = null;

function showError(error)
{
	clearTimeout(toastTimer);
	$('#toast').textContent = describe(error);
	$('#toast').hidden = false;
	toastTimer = setTimeout(() => { $('#toast').hidden = true; }, TOAST_TIME);
}

form.addEventListener('submit', submit);
$('#switch').addEventListener('click', () => setSignUp(!signUp));
$('#log-out').addEventListener('click', () => client.logOut());
$('#search').addEventListener('input', searchChanged);
$('#app aside').addEventListener('keydown', moveFocus);
$('#banner-retry').addEventListener('click', () => client.connect());
window.addEventListener('hashchange', route);
window.addEventListener('storage', ({ key, newValue }) => (key === TOKEN || key === null) && newValue !== client.token && location.reload());
// "Today" becomes "Yesterday" while the page stays open.
setInterval(() => store.me && draw(), 60000);

client.on('state', stateChanged);
client.on('signed_out', signedOut);
store.onChange = draw;
store.onError = showError;
if (client.token !== null)
	client.connect();
show();
