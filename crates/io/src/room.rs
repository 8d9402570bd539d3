//! What the hub calls the rooms of a namespace. No namespace's name holds a comma, so no two rooms share a topic.

use switchboard_io_proto::socket::Namespace;

/// The topic of a room.
#[must_use]
pub fn topic(namespace: &Namespace, room: &str) -> String {
    format!("{namespace},{room}")
}

/// The topic of everyone in a namespace.
pub(crate) fn everyone(namespace: &Namespace) -> String {
    namespace.to_string()
}

/// The namespace that a topic is in, if it is in one.
pub(crate) fn namespace(topic: &str) -> Option<Namespace> {
    let name = topic.split(',').next().filter(|name| name.starts_with('/'))?;
    Namespace::new(name).ok()
}

/// The room of a topic, if it is one of this namespace.
pub(crate) fn of_topic<'t>(namespace: &Namespace, topic: &'t str) -> Option<&'t str> {
    topic.strip_prefix(namespace.as_str())?.strip_prefix(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_of_different_namespaces_have_different_topics() {
        let [root, a, ab] = ["/", "/a", "/a/b"].map(|name| Namespace::new(name).expect("a proper name"));
        let topics =
            [topic(&root, "x"), topic(&a, "x"), topic(&ab, "x"), everyone(&root), everyone(&a), topic(&root, "")];
        for (place, topic) in topics.iter().enumerate() {
            assert!(!topics[..place].contains(topic), "{topic}");
        }
        assert_eq!(of_topic(&a, &topic(&a, "x,y")), Some("x,y"));
        assert_eq!(of_topic(&a, &topic(&ab, "x")), None);
        assert_eq!(of_topic(&a, &everyone(&a)), None);
        assert_eq!(namespace("x"), None);
        assert_eq!([namespace(&everyone(&a)), namespace(&topic(&a, "x,y"))], [Some(a.clone()), Some(a)]);
    }
}
