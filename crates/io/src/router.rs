//! Which namespaces there are: those that were named, and those that come into being when a client asks for one that a
//! parent namespace knows by a pattern or a function.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use switchboard_io_proto::socket::{Args, Namespace};
use switchboard_ws::{Admission, AdmissionLimits, Admitted, Hub, PeerAddr};

use crate::engine::Limit;
use crate::guarded::guarded;
use crate::pattern::Pattern;
use crate::peer::Peer;
use crate::recovery::Recovery;
use crate::settings::Settings;
use crate::space::{Rules, Space};

/// All namespaces of a server.
pub(crate) struct Router {
    pub(crate) hub: Hub,
    pub(crate) settings: Arc<Settings>,
    pub(crate) recovery: Option<Arc<Recovery<Peer>>>,
    spaces: RwLock<HashMap<Namespace, Arc<Space<Peer>>>>,
    parents: RwLock<Vec<Arc<Parent>>>,
    on_new: RwLock<Vec<OnNew>>,
    /// Those that clients have made, by the address of the client.
    made: Admission,
}

/// A namespace that is there for others: they follow its rules.
pub(crate) struct Parent {
    pub(crate) which: Which,
    pub(crate) rules: Arc<Rules<Peer>>,
    children: RwLock<HashMap<Namespace, Weak<Space<Peer>>>>,
}

/// Which namespaces are children of a parent.
pub(crate) enum Which {
    Pattern(Pattern),
    Function(Arc<dyn Fn(String, Args) -> Asking + Send + Sync>),
}

/// A function that has still to say whether a namespace is to be.
pub(crate) type Asking = Pin<Box<dyn Future<Output = bool> + Send>>;

type OnNew = Arc<dyn Fn(&Arc<Space<Peer>>) + Send + Sync>;

/// Where a client that asks for a namespace is to go.
pub(crate) enum Found {
    Here(Arc<Space<Peer>>),
    /// No pattern before these knows it, but perhaps one of their functions does.
    Ask(Vec<Arc<Parent>>),
    /// It would be one child too many: by which limit.
    Full(Limit),
    Nowhere,
}

impl Router {
    pub(crate) fn new(hub: Hub, settings: Arc<Settings>, recovery: Option<Arc<Recovery<Peer>>>) -> Self {
        let per_address = settings.child_namespaces_per_address;
        Self {
            // How many there may be in all is for each parent.
            made: Admission::new(AdmissionLimits { connections: usize::MAX, per_address }),
            hub,
            settings,
            recovery,
            spaces: RwLock::default(),
            parents: RwLock::default(),
            on_new: RwLock::default(),
        }
    }

    /// The namespace of this name, made if need be: as the child of the first pattern that knows it, as if a client had
    /// asked, so that it is never without its parent's middlewares.
    pub(crate) fn of(self: &Arc<Self>, name: &Namespace) -> Arc<Space<Peer>> {
        if let Some(space) = self.get(name) {
            return space;
        }
        let parents = self.parents.read().unwrap_or_else(PoisonError::into_inner).clone();
        let knows =
            |parent: &&Arc<Parent>| matches!(&parent.which, Which::Pattern(pattern) if pattern.matches(name.as_str()));
        if let Some(parent) = parents.iter().find(knows) {
            let child = self.bear(parent, name, usize::MAX, None);
            return child.expect("the application may have as many as it wants");
        }
        let made = self.make(name.clone(), Arc::default());
        self.insert(made, usize::MAX).expect("the application may have as many as it wants")
    }

    pub(crate) fn get(&self, name: &Namespace) -> Option<Arc<Space<Peer>>> {
        self.spaces.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Space<Peer>>> {
        self.spaces.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn add_parent(&self, which: Which) -> Arc<Parent> {
        let parent = Arc::new(Parent { which, rules: Arc::default(), children: RwLock::default() });
        self.parents.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&parent));
        parent
    }

    pub(crate) fn on_new(&self, tell: OnNew) {
        self.on_new.write().unwrap_or_else(PoisonError::into_inner).push(tell);
    }

    /// The namespace that a client asks for.
    pub(crate) fn find(self: &Arc<Self>, name: &Namespace, client: PeerAddr) -> Found {
        if let Some(space) = self.get(name) {
            return Found::Here(space);
        }
        let parents = self.parents.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (place, parent) in parents.iter().enumerate() {
            match &parent.which {
                Which::Pattern(pattern) if pattern.matches(name.as_str()) => {
                    return self.child(parent, name, client);
                }
                Which::Pattern(_) => {}
                Which::Function(_) => return Found::Ask(parents[place..].to_vec()),
            }
        }
        Found::Nowhere
    }

    /// Asks parents, one after the other, for the one whose child is of this name. The child is for the caller to make,
    /// when there is still somebody who comes to it: without a guest it would stay for ever.
    pub(crate) async fn ask(parents: Vec<Arc<Parent>>, name: Namespace, auth: Args) -> Option<Arc<Parent>> {
        for parent in parents {
            let knows = match &parent.which {
                Which::Pattern(pattern) => pattern.matches(name.as_str()),
                Which::Function(ask) => ask(name.to_string(), auth.clone()).await,
            };
            if knows {
                return Some(parent);
            }
        }
        None
    }

    /// The child of this name, made if need be. Somebody is to [come](Self::keep) to it at once.
    pub(crate) fn child(self: &Arc<Self>, parent: &Parent, name: &Namespace, client: PeerAddr) -> Found {
        if let Some(space) = self.get(name) {
            return Found::Here(space);
        }
        let Ok(place) = self.made.admit(client) else { return Found::Full(Limit::AddressChildNamespaces) };
        let child = self.bear(parent, name, self.settings.max_child_namespaces, Some(place));
        child.map_or(Found::Full(Limit::ChildNamespaces), Found::Here)
    }

    /// Makes a child, unless there are as many as `limit`. `place`: for whom it counts, if a client has asked for it.
    fn bear(
        self: &Arc<Self>,
        parent: &Parent,
        name: &Namespace,
        limit: usize,
        place: Option<Admitted>,
    ) -> Option<Arc<Space<Peer>>> {
        let mut space = self.make(name.clone(), Arc::clone(&parent.rules)).placed(place);
        if self.settings.cleanup_empty_child_namespaces {
            let router = Arc::downgrade(self);
            space = space.when_empty(move |space| {
                if let Some(router) = router.upgrade() {
                    router.remove_if_empty(&space.name);
                }
            });
        }
        let space = self.insert(space, limit)?;
        let mut children = parent.children.write().unwrap_or_else(PoisonError::into_inner);
        // Those that are gone are looked for only when they may be many.
        if children.len() > 2 * parent.rules.spaces() {
            children.retain(|_, child| child.strong_count() > 0);
        }
        children.insert(name.clone(), Arc::downgrade(&space));
        Some(space)
    }

    /// A client is about to be let into a namespace, which stays there until [`Space::guest_left`]. If it went
    /// meanwhile, it is there again, or the one that has taken its name; `None` if there are as many as may be without
    /// it.
    pub(crate) fn keep(&self, space: &Arc<Space<Peer>>) -> Option<Arc<Space<Peer>>> {
        if !space.may_go() {
            return Some(Arc::clone(space));
        }
        let mut spaces = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        let space = match spaces.get(&space.name) {
            Some(space) => Arc::clone(space),
            None => add(&mut spaces, space, self.settings.max_child_namespaces)?,
        };
        space.guest_came();
        Some(space)
    }

    fn make(&self, name: Namespace, rules: Arc<Rules<Peer>>) -> Space<Peer> {
        Space::new(name, self.hub.clone(), Arc::clone(&self.settings), self.recovery.clone(), rules)
    }

    /// Adds a namespace unless somebody else was faster, or there are as many by its rules as `limit`. Those who want
    /// to know of new ones are told.
    fn insert(&self, made: Space<Peer>, limit: usize) -> Option<Arc<Space<Peer>>> {
        let mut spaces = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(space) = spaces.get(&made.name) {
            return Some(Arc::clone(space));
        }
        let made = add(&mut spaces, &Arc::new(made), limit)?;
        drop(spaces);
        let on_new = self.on_new.read().unwrap_or_else(PoisonError::into_inner).clone();
        // The main namespace is no news.
        if !made.name.is_root() {
            for tell in &on_new {
                guarded("a listener for new namespaces", || tell(&made));
            }
        }
        Some(made)
    }

    fn remove_if_empty(&self, name: &Namespace) {
        let mut spaces = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        if spaces.get(name).is_some_and(|space| space.is_empty()) {
            let removed = spaces.remove(name);
            removed.inspect(|space| space.rules.space_gone());
        }
    }
}

/// Adds a namespace, unless there are as many by its rules as `limit`: looked at under the lock under which they come
/// and go.
fn add(
    spaces: &mut HashMap<Namespace, Arc<Space<Peer>>>,
    space: &Arc<Space<Peer>>,
    limit: usize,
) -> Option<Arc<Space<Peer>>> {
    if space.rules.spaces() >= limit {
        tracing::debug!(name = %space.name, "a client asks for one child namespace too many, and is refused");
        return None;
    }
    space.rules.space_came();
    spaces.insert(space.name.clone(), Arc::clone(space));
    Some(Arc::clone(space))
}

impl Parent {
    /// Its children.
    pub(crate) fn children(&self) -> Vec<Arc<Space<Peer>>> {
        self.children.read().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect()
    }
}
